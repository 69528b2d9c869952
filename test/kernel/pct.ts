import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * `pct set` for a node under a real kernel: takes its time, changes the live limit first and the
 * configuration last, as Proxmox VE does. The file `NODE/pct.begun` says that it has begun. It
 * waits for as long as there is a file `NODE/pct.wait`.
 */

const MIB = 1024 * 1024;
/** It lies in NODE/bin. */
const root = dirname(dirname(process.argv[1] ?? ''));
const [verb, id = '', ...words] = process.argv.slice(2);
const options = new Map<string, string>();
for (let each = 0; each + 1 < words.length; each += 2) {
  options.set((words[each] ?? '').replace(/^--/, ''), words[each + 1] ?? '');
}
const conf = join(root, `etc/pve/nodes/pve1/lxc/${id}.conf`);
const cgroup = join(root, `sys/fs/cgroup/lxc/${id}`);

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function setLive(file: string, text: string): void {
  if (existsSync(cgroup)) writeFileSync(join(cgroup, file), text);
}

/** Less than 1 %, as Proxmox VE has it. */
const highOf = (bytes: number): number => bytes - Math.min(bytes >> 7, 128 * MIB);

function setLiveMemory(mib: number): void {
  const bytes = mib * MIB;
  const lowers = existsSync(cgroup) && bytes < Number(readFileSync(join(cgroup, 'memory.max')));
  if (lowers) setLive('memory.high', `${highOf(bytes)}`);
  setLive('memory.max', `${bytes}`);
  setLive('memory.high', `${highOf(bytes)}`);
}

function writeConfiguration(text: string): void {
  writeFileSync(`${conf}.tmp`, text);
  renameSync(`${conf}.tmp`, conf);
  const list = join(root, 'etc/pve/.vmlist');
  const raised = readFileSync(list, 'utf8').replace(
    /"version": (\d+)/g,
    (_, version) => `"version": ${Number(version) + 1}`,
  );
  writeFileSync(`${list}.tmp`, raised);
  renameSync(`${list}.tmp`, list);
}

async function main(): Promise<void> {
  if (verb !== 'set') process.exit(255);
  writeFileSync(join(root, 'pct.begun'), '');
  await pause(500);
  while (existsSync(join(root, 'pct.wait'))) await pause(20);
  let text = readFileSync(conf, 'utf8');
  const memory = options.get('memory');
  // The same value again is no change for Proxmox VE, and does not reach the kernel.
  if (memory !== undefined && !text.includes(`\nmemory: ${memory}\n`)) {
    setLiveMemory(Number(memory));
    text = text.replace(/^memory: .*$/m, `memory: ${memory}`);
  }
  const cores = options.get('cores');
  if (cores !== undefined) text = text.replace(/^cores: .*$/m, `cores: ${cores}`);
  writeConfiguration(text);
}

void main();
