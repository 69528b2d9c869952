import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { Arguments } from '../../src/cli/arguments.ts';
import { parseArguments } from '../../src/cli/command-line.ts';
import { type Ask, configureWith } from '../../src/cli/configure.ts';
import { editMode } from '../../src/config/edit-mode.ts';
import { loadConfig, parseConfig } from '../../src/config/load.ts';
import { milliseconds } from '../../src/core/units.ts';
import { encodeUsage } from '../../src/core/usage-history.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import type { Clock } from '../../src/node/port.ts';
import { createUsageStore } from '../../src/store/usage-store.ts';
import { guest, NodeUnderTest } from '../e2e/node-under-test.ts';
import { vmid } from '../node/local/world.ts';

/** The guided start on a simulated node, with answers in place of a person. */

const clock: Clock = {
  wallMs: () => milliseconds(Date.UTC(2026, 10, 22)),
  monotonicMs: () => milliseconds(performance.now()),
};

class Page extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

const FILE = 'etc/lxc_autoscale/lxc_autoscale.yaml';

function given(...argv: string[]): Arguments {
  const parsed = parseArguments(['configure', '--for', '1', ...argv]);
  if (parsed.kind !== 'run') throw new Error(JSON.stringify(parsed));
  return parsed.arguments;
}

/** A node with a busy, a full, an idle and an ignored container, and one that is a template. */
async function node() {
  const under = await NodeUnderTest.create([
    guest(101, { cores: 2, memoryMib: 1024, name: 'busy' }, { cpuCores: 2, anonMib: 300 }),
    guest(102, { cores: 2, memoryMib: 1024, name: 'full' }, { cpuCores: 0.5, anonMib: 900 }),
    guest(103, { cores: 2, memoryMib: 2048, name: 'idle' }, { cpuCores: 0, anonMib: 100 }),
  ]);
  under.node.start();
  return under;
}

async function run(root: string, answers: readonly string[] | undefined, ...argv: string[]) {
  const left = [...(answers ?? [])];
  const questions: string[] = [];
  const ask: Ask = async (question) => {
    questions.push(question);
    return left.shift();
  };
  const [stdout, stderr] = [new Page(), new Page()];
  const around = { paths: createPaths(root), clock, env: {}, stdout, stderr };
  const code = await configureWith(given(...argv), around, answers && ask);
  return { code, stdout: stdout.text, stderr: stderr.text, questions };
}

function written(root: string) {
  const loaded = loadConfig(join(root, FILE), FILE, {});
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded.config;
}

/** Hours of use of two of the containers up to now, as the daemon records it. */
async function record(root: string, hours: number): Promise<void> {
  const complaints: string[] = [];
  const store = createUsageStore({
    directory: join(root, 'var/lib/lxc_autoscale/usage'),
    days: () => 14,
    complain: (text) => complaints.push(text),
  });
  const endS = clock.wallMs() / 1000;
  for (let timeS = endS - hours * 3600; timeS <= endS; timeS += 300) {
    const of = (id: number, cpu: number, mib: number, limitMib: number): string =>
      encodeUsage({
        timeS,
        vmid: vmid(id),
        cpuCores: cpu,
        memoryMib: mib,
        cpuDemand: cpu,
        cpuPeak: cpu,
        cpuAllowed: 2,
        memoryPeakMib: mib,
        memoryLimitMib: limitMib,
        cpuWaitPercent: 0,
        memoryWaitPercent: 0,
      });
    store.append(`${of(101, 0.5, 300, 1024)}\n${of(103, 1.5, 400, 2048)}\n`, timeS, 300);
  }
  await store.close();
  expect(complaints).toEqual([]);
}

describe('configure', () => {
  it('leaves the file alone that all nodes of a cluster share', async () => {
    const { root } = await node();
    rmSync(join(root, FILE));
    writeFileSync(join(root, 'etc/pve/lxc_autoscale.yaml'), 'DEFAULT:\n');
    const { code, stdout, stderr } = await run(root, undefined);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('/etc/pve/lxc_autoscale.yaml is the configuration here');
  });

  it('shows on a terminal how far the measurement is', async () => {
    const { root } = await node();
    const terminal = Object.assign(new Page(), { isTTY: true });
    const around = { paths: createPaths(root), clock, env: {}, stdout: new Page() };
    await configureWith(given(), { ...around, stderr: terminal }, undefined);
    expect(terminal.text).toContain('[##############################] 100 % 0 s left');
  });

  it('takes its own proposals where nobody is asked, with a backup of what was there', async () => {
    const { root } = await node();
    const before = readFileSync(join(root, FILE), 'utf8');
    const { code, stdout, stderr } = await run(root, undefined);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/TIER_busy: 101 .*\n(.*\n)*TIER_memory: 102 .*\n(.*\n)*TIER_idle: 103 /);
    const [, backup = ''] = /kept as (.*)/.exec(stdout) ?? [];
    expect(readFileSync(backup, 'utf8')).toBe(before);
    expect(backup).toMatch(/\.yaml\.20\d{6}-\d{6}\.backup$/);
    const config = written(root);
    expect(config.tiers.map(({ name }) => name)).toEqual(['TIER_busy', 'TIER_memory', 'TIER_idle']);
    expect(config.defaults.scaling).toBe('observe');
    expect(statSync(join(root, FILE)).mode & 0o137).toBe(0);
  });

  it('goes by a day that was recorded, and proposes to scale by it', async () => {
    const under = await node();
    await record(under.root, 30);
    const { code, stdout, questions } = await run(under.root, ['o', '', '', '', 'y']);
    expect(code).toBe(0);
    expect(questions[1]).toMatch(/^Scale by what was recorded \(adaptive\)/);
    expect(stdout).toContain(
      'The proposal goes by recorded use, up to 30 h of it. By the use that was',
    );
    // 101 never used more than half a core in that time, 103 more than it does just now.
    expect(stdout).toMatch(
      /adaptive would keep for them [2-4] of 4 cores and \d+ of 3072 MB; .*: CPU 0 %, memory 0 %/,
    );
    expect(stdout).toContain('103 idle: CPU 1.5, at most 1.5 of 2 cores');
    expect(stdout.replace(/\n# /g, ' ')).toContain('1 second of use, and 30 h of recorded use, on');
    const file = readFileSync(join(under.root, FILE), 'utf8');
    expect(file).toContain('  # when active: scaling_mode: adaptive\n  scaling_mode: observe\n');
    const active = editMode(file, { kind: 'all' }, 'act');
    const loaded = parseConfig(active.ok ? active.text : '', 'f', {});
    expect(loaded.ok && loaded.config.defaults.scaling).toBe('adaptive');
  });

  it('counts what little is recorded in minutes', async () => {
    const { root } = await node();
    await record(root, 0.5);
    const { stdout } = await run(root, undefined);
    expect(stdout).toContain('peaks of recorded use count too, up to 35 min of it.');
  });

  it('says that less than a day is little, and then proposes thresholds', async () => {
    const under = await node();
    expect((await run(under.root, undefined)).stdout).toContain('1 second of use, which is little');
    await record(under.root, 5);
    const { stdout, questions } = await run(under.root, ['c', '', '', 'y']);
    expect(stdout).toContain('recorded use count too, up to 5 h of it. After a day, mode adaptive');
    expect(questions.join()).not.toContain('adaptive');
    expect(written(under.root).defaults.scaling).toBe('threshold');
  });

  it('proposes a preset by the name of a container, with the reason', async () => {
    const { node, root } = await NodeUnderTest.create([
      guest(104, { cores: 2, memoryMib: 2048, name: 'nextcloud-2' }, { cpuCores: 0, anonMib: 100 }),
    ]);
    node.start();
    const { code, stdout } = await run(root, undefined);
    expect(code).toBe(0);
    expect(stdout).toContain('TIER_nextcloud: 104 (seem to run nextcloud, as its name says)\n');
    expect(stdout.replaceAll('\n  # ', ' ')).toContain(
      'An upload with its previews starts many PHP',
    );
    expect(written(root).tiers[0]?.policy.preset?.name).toBe('nextcloud');
  });

  it('asks four things, once more where an answer is none', async () => {
    const { root } = await node();
    const { code, questions } = await run(root, ['what', 'c', '1x', '103, 103', 'y', '']);
    expect(code).toBe(0);
    expect(questions).toHaveLength(6);
    const config = written(root);
    expect(config.defaults.scaling).toBe('threshold');
    expect(config.ignored.ids).toEqual([{ from: 103, to: 103 }]);
    expect(config.tiers.map(({ name }) => name)).toEqual(['TIER_busy', 'TIER_memory']);
  });

  it.each([
    ['no at the end', ['', '', '', 'n']],
    ['nobody there any more', ['']],
  ])('writes nothing after %s', async (_, answers) => {
    const { root } = await node();
    const before = readFileSync(join(root, FILE), 'utf8');
    const { code, stderr } = await run(root, answers);
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'Nothing was written.\n' });
    expect(readFileSync(join(root, FILE), 'utf8')).toBe(before);
  });

  it('measures nothing if the file has no place', async () => {
    const { root } = await node();
    const { code, stdout, stderr } = await run(root, undefined, '--out', '/nowhere/c.yaml');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/nowhere\/c\.yaml could not be written: its directory does not exist\./);
  });

  it('says how to have virtual machines managed, and what they need for that', async () => {
    const { root } = await node();
    mkdirSync(join(root, 'etc/pve/qemu-server'), { recursive: true });
    const conf = 'cores: 4\nmemory: 2048\nname: db\nscsi0: local:x\n';
    writeFileSync(join(root, 'etc/pve/qemu-server/200.conf'), conf);
    const list = join(root, 'etc/pve/.vmlist');
    const { ids } = JSON.parse(readFileSync(list, 'utf8'));
    const all = { ...ids, 200: { node: 'pve1', type: 'qemu', version: 99 } };
    writeFileSync(list, JSON.stringify({ ids: all }));
    const { stdout } = await run(root, undefined);
    expect(stdout).toContain('Virtual machines are only counted: 200.');
    expect(stdout).toContain('  qm set 200 --hotplug network,disk,usb,cpu --shares 0\n');
    expect(readFileSync(join(root, 'etc/pve/qemu-server/200.conf'), 'utf8')).toBe(conf);
  });

  it('writes where it is told to, under the sysroot', async () => {
    const { root } = await node();
    const { code } = await run(root, undefined, '--out', '/etc/other.yaml');
    expect(code).toBe(0);
    expect(existsSync(join(root, 'etc/other.yaml'))).toBe(true);
    expect(readFileSync(join(root, FILE), 'utf8')).toContain('poll_interval: 1');
  });

  it('says that a machine is no node', async () => {
    const { root } = await node();
    const { code, stderr } = await run(join(root, 'etc'), undefined);
    expect(code).toBe(1);
    expect(stderr).toMatch(/not a Proxmox VE node/);
  });
});
