import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { watchesOf } from '../watches.ts';
import { KernelNode } from './kernel-node.ts';

/**
 * Runs under the kernel that is asked: makes cgroups as Proxmox VE lays them, starts processes in
 * them, and writes what came of it, as JSON, into the file that it is given.
 */

const MIB = 1024 * 1024;
const CGROUPS = '/sys/fs/cgroup';
const LIMIT_MS = 90_000;
/** The bundle of the program. */
const program = process.argv[2] ?? '';

type Numbers = Readonly<Record<string, number>>;

const pathOf = (cgroup: string, file = ''): string => join(CGROUPS, cgroup, file);
const read = (cgroup: string, file: string): string =>
  readFileSync(pathOf(cgroup, file), 'utf8').trim();
const mibIn = (cgroup: string, file = 'memory.current'): number => Number(read(cgroup, file)) / MIB;
const fields = (cgroup: string, file: string): Numbers =>
  Object.fromEntries(
    read(cgroup, file)
      .split('\n')
      .map((line) => line.split(' '))
      .map(([name = '', value]) => [name, Number(value)]),
  );

/** What a write says: the code of the error, or `done`. */
function write(cgroup: string, file: string, text: string): string {
  try {
    writeFileSync(pathOf(cgroup, file), text);
    return 'done';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

/** A cgroup with all that is above it; memory is passed on to those below. */
function make(cgroup: string, limits: Readonly<Record<string, string>> = {}): void {
  const parts = cgroup.split('/');
  for (const [depth] of parts.entries()) {
    const above = parts.slice(0, depth).join('/');
    if (above !== '') write(above, 'cgroup.subtree_control', '+cpu +memory +pids');
    mkdirSync(pathOf(parts.slice(0, depth + 1).join('/')), { recursive: true });
  }
  for (const [file, text] of Object.entries(limits)) write(cgroup, file, text);
}

interface Load {
  readonly child: ChildProcess;
  /** `ready`, or how it ended. */
  readonly settled: Promise<string>;
  readonly ended: Promise<string>;
}

function load(cgroup: string, ...words: readonly (string | number)[]): Load {
  const child = spawn('./load', [pathOf(cgroup), ...words.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<string>((resolve) => {
    child.on('close', (code, signal) => resolve(signal ?? `exit ${code}`));
  });
  const ready = new Promise<string>((resolve) => {
    child.stdout?.on('data', () => resolve('ready'));
  });
  return { child, ended, settled: Promise.race([ready, ended]) };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let waitedMs = 0; !holds(); waitedMs += 20) {
    if (waitedMs > LIMIT_MS) throw new Error(`never: ${what}`);
    await pause(20);
  }
}

const eventsOf = (cgroup: string) => ({
  all: fields(cgroup, 'memory.events'),
  local: fields(cgroup, 'memory.events.local'),
});

/** A container with a nested cgroup of 16 MiB and one without a limit. */
function container(ct: string, memory = '128M'): void {
  make(ct, { 'memory.max': memory, 'memory.swap.max': '0' });
  make(`${ct}/ns/docker`, { 'memory.max': '16M' });
  make(`${ct}/ns/leaf`);
}

/** Each is asked with a container of its own. */
const QUESTIONS: Readonly<Record<string, (ct: string) => Promise<unknown>>> = {
  async nestedKill(ct) {
    container(ct);
    const how = await load(`${ct}/ns/docker`, 'hold', 40).ended;
    return { how, ...eventsOf(ct), nested: eventsOf(`${ct}/ns/docker`) };
  },

  async ownKill(ct) {
    container(ct);
    const how = await load(`${ct}/ns/leaf`, 'hold', 200).ended;
    return { how, ...eventsOf(ct), nested: eventsOf(`${ct}/ns/leaf`) };
  },

  async nestedLimit(ct) {
    container(ct);
    await load(`${ct}/ns/docker`, 'read', process.execPath).settled;
    return { ...eventsOf(ct), nested: eventsOf(`${ct}/ns/docker`) };
  },

  async frozen(ct) {
    container(ct);
    const burner = load(`${ct}/ns/leaf`, 'burn');
    await burner.settled;
    const cpu = (): number => fields(ct, 'cpu.stat')['usage_usec'] ?? Number.NaN;
    const running = fields(ct, 'cgroup.events');
    write(ct, 'cgroup.freeze', '1');
    await until('frozen', () => fields(ct, 'cgroup.events')['frozen'] === 1);
    const [frozen, before] = [fields(ct, 'cgroup.events'), cpu()];
    await pause(300);
    const usedFrozenUs = cpu() - before;
    write(ct, 'cgroup.freeze', '0');
    await until('thawed', () => cpu() > before);
    burner.child.kill('SIGKILL');
    await burner.ended;
    return { running, frozen, usedFrozenUs, left: fields(ct, 'cgroup.events') };
  },

  async reclaimAnonymous(ct) {
    container(ct);
    await load(`${ct}/ns/leaf`, 'hold', 64).settled;
    const before = mibIn(ct);
    const said = write(ct, 'memory.reclaim', '32M');
    return { said, before, after: mibIn(ct), ...eventsOf(ct) };
  },

  async reclaimCache(ct) {
    container(ct);
    await load(`${ct}/ns/leaf`, 'read', process.execPath).settled;
    const before = mibIn(ct);
    const said = write(ct, 'memory.reclaim', '32M');
    return { said, before, after: mibIn(ct) };
  },

  /** Names that were looked up, of a file system on a disk. */
  async slab(ct) {
    container(ct, '512M');
    mkdirSync('disk');
    execFileSync('mke2fs', ['-q', '-F', '-t', 'ext4', '-N', '50000', '/dev/ubda']);
    execFileSync('mount', ['/dev/ubda', 'disk']);
    make('outside');
    await load('outside', 'make', 'disk', 40_000).settled;
    write('outside', 'cgroup.kill', '1');
    writeFileSync('/proc/sys/vm/drop_caches', '3');
    await load(`${ct}/ns/leaf`, 'walk', 'disk').settled;
    return reclaimedSlab(ct);
  },

  /** The same of a tmpfs, whose names are nowhere else. */
  async slabOfTmpfs(ct) {
    container(ct, '512M');
    mkdirSync('tmpfs');
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'nr_inodes=100k', 'tmpfs', 'tmpfs']);
    await load(`${ct}/ns/leaf`, 'make', 'tmpfs', 40_000).settled;
    return reclaimedSlab(ct);
  },

  /** What `memory.max` below what is in use does, if nothing is held back before. */
  async loweredBelowUse(ct) {
    container(ct, '512M');
    const held = load(`${ct}/ns/leaf`, 'hold', 200);
    await held.settled;
    const said = write(ct, 'memory.max', '80M');
    return { said, how: await held.ended, ...eventsOf(ct) };
  },

  /** A process that grows against a `memory.high` of 76 MiB. */
  async heldByHigh(ct) {
    container(ct, '512M');
    write(ct, 'memory.high', `${76 * MIB}`);
    const grower = load(`${ct}/ns/leaf`, 'grow', 200, 100);
    await until('it pushes', () => mibIn(ct) > 70);
    const seen: number[] = [];
    for (let each = 0; each < 6; each++) {
      await pause(500);
      seen.push(mibIn(ct));
    }
    const events = eventsOf(ct);
    write(ct, 'memory.high', 'max');
    return { seen, how: await grower.settled, ...events };
  },

  /** What `memory.high` below what is in use takes, as soon as it is written. */
  async highTakesCache(ct) {
    container(ct, '512M');
    await load(`${ct}/ns/leaf`, 'read', process.execPath).settled;
    const before = mibIn(ct);
    const said = write(ct, 'memory.high', `${32 * MIB}`);
    return { said, before, after: mibIn(ct) };
  },

  async highBelowUse(ct) {
    container(ct, '512M');
    const held = load(`${ct}/ns/leaf`, 'hold', 64);
    await held.settled;
    const said = write(ct, 'memory.high', `${32 * MIB}`);
    const alive = held.child.exitCode === null && held.child.signalCode === null;
    return { said, alive, after: mibIn(ct), ...eventsOf(ct) };
  },

  /** From 50 MiB to 240 under a limit of 128, with `memory.high` at so much: MiB each second. */
  async leaps(ct) {
    const leap = async (name: string, highMib: number, tasks: number): Promise<Leap> => {
      const one = `${ct}-${name}`;
      make(one, { 'memory.max': '128M', 'memory.swap.max': '0' });
      make(`${one}/ns/leaf`);
      write(one, 'memory.high', `${highMib}M`);
      await load(`${one}/ns/leaf`, 'hold', 50).settled;
      const loads = Array.from({ length: tasks }, () =>
        load(`${one}/ns/leaf`, 'hold', Math.ceil(190 / tasks)),
      );
      let how = 'held';
      for (const { ended } of loads) void ended.then((said) => (how = said));
      await until('it is above', () => mibIn(one) >= highMib || how !== 'held');
      const seen: number[] = [];
      while (how === 'held' && seen.length < 8) {
        await pause(1000);
        seen.push(mibIn(one));
      }
      const found = { how, seen, ...eventsOf(one) };
      write(one, 'cgroup.kill', '1');
      return found;
    };
    return {
      plain: await leap('plain', 127, 1),
      near: await leap('near', 120, 1),
      guarded: await leap('guarded', 108, 1),
      four: await leap('four', 108, 4),
    };
  },

  /** The limit is raised while a task is held; then `memory.high` too, as `pct set` does. */
  async guardLeft(ct) {
    make(ct, { 'memory.max': '128M', 'memory.swap.max': '0' });
    make(`${ct}/ns/leaf`);
    write(ct, 'memory.high', '112M');
    const held = load(`${ct}/ns/leaf`, 'hold', 200);
    await until('it is above', () => mibIn(ct) > 112);
    write(ct, 'memory.max', '256M');
    await pause(4000);
    const left = mibIn(ct);
    write(ct, 'memory.high', '254M');
    return { left, how: await held.settled, ...eventsOf(ct) };
  },

  /** Rounds a second of a process between `memory.high` and the limit, and of one that idles. */
  async guardStall(ct) {
    make(ct, { 'memory.max': '128M', 'memory.swap.max': '0' });
    make(`${ct}/ns/leaf`);
    const worker = load(`${ct}/ns/leaf`, 'churn', 100, 8);
    const told: number[] = [];
    worker.child.stdout?.on('data', (text) =>
      told.push(...String(text).trim().split('\n').map(Number)),
    );
    const rounds = async (high: string): Promise<number> => {
      write(ct, 'memory.high', high);
      await pause(300);
      const before = told.length;
      await pause(4000);
      const seen = told.slice(before);
      return seen.reduce((sum, one) => sum + one, 0) / 40;
    };
    await until('it works', () => told.length > 3);
    const free = await rounds('127M');
    const held = await rounds('96M');
    write(ct, 'cgroup.kill', '1');
    await worker.ended;
    await until('nothing is left', () => fields(ct, 'cgroup.events')['populated'] === 0);
    write(ct, 'memory.high', 'max');
    await load(`${ct}/ns/leaf`, 'hold', 100).settled;
    const burner = load(`${ct}/ns/leaf`, 'burn');
    await burner.settled;
    write(ct, 'memory.high', '96M');
    const cpu = (): number => fields(ct, 'cpu.stat')['usage_usec'] ?? Number.NaN;
    const before = cpu();
    const fromMs = performance.now();
    await pause(2000);
    const burnt = (cpu() - before) / 1000 / (performance.now() - fromMs);
    return { free, held, burnt };
  },

  /** A file larger than the limit is read under `memory.high`. */
  async guardCache(ct) {
    const seen: Record<string, unknown> = {};
    make('outside');
    for (const [name, high] of [
      ['plain', '95M'],
      ['guarded', '80M'],
    ] as const) {
      const one = `${ct}-${name}`;
      make(one, { 'memory.max': '96M', 'memory.swap.max': '0' });
      make(`${one}/ns/leaf`);
      write(one, 'memory.high', high);
      execFileSync('dd', ['if=/dev/zero', 'of=large', 'bs=1M', 'count=160'], { stdio: 'ignore' });
      writeFileSync('/proc/sys/vm/drop_caches', '3');
      const fromMs = performance.now();
      await load(`${one}/ns/leaf`, 'read', 'large').settled;
      seen[name] = { ms: performance.now() - fromMs, mib: mibIn(one), ...eventsOf(one) };
    }
    rmSync('large');
    return seen;
  },

  /** With swap, what is above `memory.high` is swapped out. */
  async guardSwap(ct) {
    execFileSync('mkswap', ['/dev/ubda']);
    execFileSync('swapon', ['/dev/ubda']);
    make(ct, { 'memory.max': '128M', 'memory.swap.max': '128M' });
    make(`${ct}/ns/leaf`);
    write(ct, 'memory.high', '108M');
    const how = await load(`${ct}/ns/leaf`, 'hold', 180).settled;
    const found = {
      how,
      mib: mibIn(ct),
      swapMib: mibIn(ct, 'memory.swap.current'),
      ...eventsOf(ct),
    };
    write(ct, 'cgroup.kill', '1');
    await until('nothing is left', () => fields(ct, 'cgroup.events')['populated'] === 0);
    execFileSync('swapoff', ['/dev/ubda']);
    return found;
  },

  /** A restart makes the cgroup anew. A kill further down leaves the outer `memory.high` alone. */
  async guardLives(ct) {
    container(ct);
    write(ct, 'memory.high', '108M');
    await load(`${ct}/ns/docker`, 'hold', 40).ended;
    const nested = { high: read(ct, 'memory.high'), ...eventsOf(ct) };
    for (const each of ['ns/docker', 'ns/leaf', 'ns', '']) rmdirSync(pathOf(ct, each));
    container(ct);
    return { nested, again: read(ct, 'memory.high') };
  },

  /** What is heard of a `memory.high` that is met. */
  async watchedHigh(ct) {
    container(ct);
    write(ct, 'memory.high', '80M');
    const ear = listenTo(ct);
    const held = load(`${ct}/ns/leaf`, 'hold', 120);
    await until('it is above', () => mibIn(ct) > 80);
    const heard = await ear.heard('memory.events.local', 'high', 1);
    ear.close();
    held.child.kill('SIGKILL');
    return { heard };
  },

  /** Both kinds of kill, and a nested limit that is met without one. */
  async watchedKills(ct) {
    container(ct);
    const ear = listenTo(ct);
    await load(`${ct}/ns/leaf`, 'hold', 200).ended;
    const ownKill = await ear.heard('memory.events.local', 'oom', 1);
    await load(`${ct}/ns/docker`, 'hold', 40).ended;
    const nestedKill = await ear.heard('memory.events', 'oom_kill', 2);
    await load(`${ct}/ns/docker`, 'read', process.execPath).settled;
    const nestedLimit = await ear.heard('memory.events', 'oom_kill', 2);
    ear.close();
    return { ownKill, nestedKill, nestedLimit };
  },

  /** A container starts and stops, goes, and comes again under the same name. */
  async watchedLives(ct) {
    make(`${ct}/ns`);
    const ear = listenTo(ct);
    const first = load(`${ct}/ns`, 'hold', 1);
    await first.settled;
    const started = await ear.heard('cgroup.events', 'populated', 1);
    first.child.kill('SIGKILL');
    await first.ended;
    const stopped = await ear.heard('cgroup.events', 'populated', 0);
    rmdirSync(pathOf(`${ct}/ns`));
    rmdirSync(pathOf(ct));
    const removed = await ear.heard();
    container(ct);
    await load(`${ct}/ns/leaf`, 'hold', 200).ended;
    const cameAgain = await ear.heard();
    ear.close();
    return { started, stopped, removed, cameAgain };
  },

  /** Somebody meets the limit again and again. */
  async watchedFlood(ct) {
    container(ct, '24M');
    const ear = listenTo(ct);
    const reader = load(`${ct}/ns/leaf`, 'reread', process.execPath);
    await until('it meets its limit', () => (fields(ct, 'memory.events.local')['max'] ?? 0) > 0);
    const before = fields(ct, 'memory.events.local')['max'] ?? Number.NaN;
    await ear.heard();
    await pause(2000);
    const hits = (fields(ct, 'memory.events.local')['max'] ?? Number.NaN) - before;
    const heard = await ear.heard();
    ear.close();
    reader.child.kill('SIGKILL');
    await reader.ended;
    return { hits, count: heard.filter(({ file }) => file === 'memory.events.local').length };
  },
};

interface Leap {
  /** `held`, or how the first of its tasks ended. */
  readonly how: string;
  readonly seen: readonly number[];
  readonly all: Numbers;
  readonly local: Numbers;
}

/** An event as `fs.watch` tells of it, and what the file says as it does. */
interface Heard {
  readonly file: string;
  readonly says: Numbers;
  /** After what was done had ended; negative: before that. */
  readonly lateMs: number;
}

/** Hears what the files of a cgroup tell. */
function listenTo(ct: string) {
  const all: { file: string; says: Numbers; atMs: number }[] = [];
  const files = ['cgroup.events', 'memory.events', 'memory.events.local'];
  const watchers = files.map((file) =>
    watch(pathOf(ct, file), () => {
      all.push({
        file,
        says: existsSync(pathOf(ct)) ? fields(ct, file) : {},
        atMs: performance.now(),
      });
    }),
  );
  return {
    /** What has been heard since the last time. Waits until a file was heard that says so. */
    async heard(file?: string, name = '', value = 0): Promise<readonly Heard[]> {
      const nowMs = performance.now();
      // It is read a moment after the event, and a counter may have gone on by then.
      const tells = ({ file: of, says }: (typeof all)[number]): boolean =>
        of === file && (value === 0 ? says[name] === 0 : Number(says[name]) >= value);
      await until(`${file} tells ${name} ${value}`, () => file === undefined || all.some(tells));
      await pause(500);
      return all.splice(0).map(({ atMs, ...rest }) => ({ ...rest, lateMs: atMs - nowMs }));
    },
    close(): void {
      for (const watcher of watchers) watcher.close();
    },
  };
}

/** The program lowers a limit, and a process grows before `pct set` has acted. */
const PROGRAM_QUESTIONS: typeof QUESTIONS = {
  /** From 500 MB and more to 128, with 40 in use; then 300 are wanted, at 100 a second. */
  async growsWhileLowered(ct) {
    const { node, vmid } = await grownNode(ct);
    await load(`${ct}/ns/leaf`, 'hold', 40).settled;
    await load(`${ct}/ns/leaf`, 'read', process.execPath).settled;
    writeFileSync(join(node.root, 'pct.wait'), '');
    const rollback = node.run('rollback', `${vmid}`);
    const begun = join(node.root, 'pct.begun');
    await until('pct has begun', () => existsSync(begun));
    const grower = load(`${ct}/ns/leaf`, 'grow', 300, 1000);
    // `pct` waits for a lock, say: for ten seconds it would act on what is no longer true.
    const ended = await Promise.race([rollback, pause(30_000)]);
    rmSync(join(node.root, 'pct.wait'));
    await rollback;
    const after = lookAt(node, ct, vmid);
    write(ct, 'memory.max', '640M');
    write(ct, 'memory.high', 'max');
    return { ...ended, ...after, how: await grower.settled };
  },

  /** Between two looks that are an hour apart. */
  async killedBetweenLooks(ct) {
    const vmid = Number(ct.slice('lxc/'.length));
    const node = new KernelNode(`node-${vmid}`, program);
    make(ct, { 'memory.max': '128M', 'memory.swap.max': '0' });
    make(`${ct}/ns/leaf`);
    node.configure(vmid, 128, SELDOM);
    await load(`${ct}/ns/leaf`, 'hold', 40).settled;
    const daemon = node.start('daemon');
    await until('it is watched', () => watchesOf(daemon.child.pid) === 1);
    const how = await load(`${ct}/ns/leaf`, 'hold', 120).ended;
    const killedMs = performance.now();
    await until('pct has begun', () => existsSync(join(node.root, 'pct.begun')));
    const afterMs = performance.now() - killedMs;
    await until('pct has ended', () => node.memoryOf(vmid) > 128);
    await until('it is watched again', () => watchesOf(daemon.child.pid) === 1);
    daemon.child.kill('SIGTERM');
    const ended = await daemon.ended;
    return { ...ended, ...lookAt(node, ct, vmid), how, afterMs };
  },

  /** The same without anybody who grows. */
  async lowered(ct) {
    const { node, vmid } = await grownNode(ct);
    await load(`${ct}/ns/leaf`, 'hold', 40).settled;
    const ended = await node.run('rollback', `${vmid}`);
    return { ...ended, ...lookAt(node, ct, vmid) };
  },
};

/** Whatever happens after the first cycle is told by the kernel, or by nobody. */
const SELDOM = `DEFAULT:
  poll_interval: 3600
  sample_interval: 3600
  min_memory: 64
  reserve_memory_mb: 64
`;

/** A container that the program has just raised from 128 MB. */
async function grownNode(ct: string): Promise<{ node: KernelNode; vmid: number }> {
  const vmid = Number(ct.slice('lxc/'.length));
  const node = new KernelNode(`node-${vmid}`, program);
  make(ct, { 'memory.max': '128M', 'memory.swap.max': '0' });
  make(`${ct}/ns/leaf`);
  node.configure(vmid, 128, YAML);
  const busy = load(`${ct}/ns/leaf`, 'hold', 115);
  await busy.settled;
  const { output } = await node.run('once');
  if (node.memoryOf(vmid) < 384) throw new Error(`it did not grow:\n${output}`);
  busy.child.kill('SIGKILL');
  await busy.ended;
  rmSync(join(node.root, 'pct.begun'));
  return { node, vmid };
}

const YAML = `DEFAULT:
  min_memory: 64
  reserve_memory_mb: 64
`;

const lookAt = (node: KernelNode, ct: string, vmid: number) => ({
  configured: node.memoryOf(vmid),
  live: mibIn(ct, 'memory.max'),
  high: Number(read(ct, 'memory.high')) / MIB,
  inUse: mibIn(ct),
  ...eventsOf(ct),
});

async function reclaimedSlab(ct: string): Promise<unknown> {
  const look = (): unknown => ({
    slabMib: (fields(ct, 'memory.stat')['slab_reclaimable'] ?? Number.NaN) / MIB,
    currentMib: mibIn(ct),
  });
  const before = look();
  let said = write(ct, 'memory.reclaim', '16M');
  // Inodes are freed after a grace period (RCU), which a busy machine draws out.
  for (let again = 0; again < 5 && said === 'EAGAIN'; again += 1) {
    await pause(1000);
    said = write(ct, 'memory.reclaim', '16M');
  }
  return { before, said, after: look() };
}

async function ask(name: string, ct: string): Promise<unknown> {
  const question = QUESTIONS[name] ?? PROGRAM_QUESTIONS[name];
  try {
    if (question === undefined) throw new Error('there is no such question');
    return { value: await question(ct) };
  } catch (error) {
    return { error: String(error) };
  } finally {
    write(ct, 'cgroup.kill', '1');
  }
}

async function main(): Promise<void> {
  const [answer = '', ...names] = process.argv.slice(3);
  const answers: Record<string, unknown> = {};
  for (const [index, name] of names.entries()) {
    answers[name] = await ask(name, `lxc/${101 + index}`);
  }
  writeFileSync(answer, JSON.stringify(answers));
  process.exit(0);
}

void main();
