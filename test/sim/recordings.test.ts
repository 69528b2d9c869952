import { readFileSync, statSync } from 'node:fs';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { parseQuorum } from '../../src/node/local/pve/members-file.ts';
import type { SimulatedNode } from '../../src/sim/node.ts';
import { hasShared, jsonShape, Scratch, type Step, shape, steps } from './recorded.ts';
import {
  type ChangingDemand,
  CONF_101_TAGGED,
  conf103WithUnknownKey,
  type RecordedState,
  recordedNode,
} from './recorded-node.ts';

const scratch = new Scratch();
let node: SimulatedNode | undefined;

afterEach(async () => {
  await node?.close();
  node = undefined;
});
afterAll(() => scratch.clear());

/** What a recorded step was compared by. */
type Compared = 'exact' | 'shape' | 'json' | 'conf' | 'cgroup' | 'done';

const CGROUP_FILES = [
  'cpu.max',
  'cpu.weight',
  'cpuset.cpus',
  'cpuset.cpus.effective',
  'memory.max',
  'memory.high',
  'memory.low',
  'memory.swap.max',
];

/** Which CPUs it is, is the node's business; how many is what counts. */
function cpuCount(list: string): number {
  if (list === '') return 0;
  return list.split(',').reduce((sum, part) => {
    const [first = 0, last = first] = part.split('-').map(Number);
    return sum + last - first + 1;
  }, 0);
}

function cgroupLines(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('memory.current'))
    .map((line) =>
      line.startsWith('cpuset')
        ? line.replace(/=(\S*)/g, (_, cpus: string) => `=${cpuCount(cpus)} CPUs`)
        : line,
    );
}

function cgroupState(of: SimulatedNode): string {
  const read = (name: string) =>
    readFileSync(`${of.root}/sys/fs/cgroup/lxc/101/${name}`, 'utf8').trimEnd();
  return CGROUP_FILES.map((name) => `${name}: outer=${read(name)} ns=${read(`ns/${name}`)}`).join(
    '\n',
  );
}

/** The steps of a shell: what was done by hand, what was looked at. */
function shellStep(of: SimulatedNode, step: Step): Compared | undefined {
  const script = step.argv[2] ?? '';
  const note = step.note ?? '';
  const wait = /(\d+) s (?:later|after)/.exec(note)?.[1];
  if (wait !== undefined) of.advance(Number(wait) * 1000);
  const conf = /cat \/etc\/pve\/lxc\/(\d+)\.conf$/.exec(script)?.[1];
  const appended = /^(?:echo|printf) '([^']*)' >> \/etc\/pve\/lxc\/(\d+)\.conf/.exec(script);
  if (appended !== null) {
    const text = (appended[1] ?? '').replaceAll('\\n', '\n').replace(/\n?$/, '\n');
    of.editConfig(Number(appended[2]), (before) => before + text);
  }
  if (conf !== undefined) {
    const text = readFileSync(`${of.root}/etc/pve/lxc/${conf}.conf`, 'utf8');
    const plain = (value: string) => value.replace(/snaptime: \d+/, 'snaptime: N');
    expect(plain(text), note).toBe(plain(step.stdout));
    return 'conf';
  }
  if (script.startsWith('for f in cpu.max')) {
    expect(cgroupLines(cgroupState(of)), note).toEqual(cgroupLines(step.stdout));
    return 'cgroup';
  }
  if (/^systemctl (?:start|stop) pvestatd$/.test(script)) {
    of.setPvestatd(script.includes('start'));
    return 'done';
  }
  if (script.includes('flock -x')) expect(of.holdConfigLock(101)).toBe(true);
  if (script.includes('poll') || script.includes('seq 200')) of.advance(10_000);
  return undefined;
}

/** `120 cores: 2: outer=0-3 ns=0-3` of the script that prints the cpusets of four containers. */
function cpusetSizes(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) =>
      line
        .replace(/^(\d+) .*: outer/, '$1 outer')
        .replace(/=([0-9,-]*)/g, (_, cpus: string) => `=${cpuCount(cpus)}`),
    );
}

function cpusetsOf(of: SimulatedNode, vmids: readonly number[]): string {
  const read = (path: string): string =>
    readFileSync(`${of.root}/sys/fs/cgroup/lxc/${path}/cpuset.cpus`, 'utf8').trimEnd();
  return vmids.map((id) => `${id} outer=${read(`${id}`)} ns=${read(`${id}/ns`)}`).join('\n');
}

interface Replay {
  readonly state?: RecordedState;
  /** Steps whose text depends on the machine: only their shape is compared. */
  readonly byShape?: readonly number[];
  /** Steps that the simulated node does not do. */
  readonly leftOut?: readonly number[];
  readonly before?: (index: number, node: SimulatedNode, demand: ChangingDemand) => void;
}

async function commandStep(of: SimulatedNode, step: Step, byShape: boolean): Promise<Compared> {
  const label = step.argv.join(' ');
  // The recordings were made without a locale.
  const got = await of.run(step.argv, 'C');
  expect({ label, exit: got.exit }).toEqual({ label, exit: step.exit });
  if (byShape && step.stdout.startsWith('[') === false && step.stdout.startsWith('{') === false) {
    expect(shape(`${got.stdout}`), label).toBe(shape(step.stdout));
    expect(shape(got.stderr), label).toBe(shape(step.stderr));
    return 'shape';
  }
  expect(got.stderr, label).toBe(step.stderr);
  if (byShape) {
    expect(jsonShape(JSON.parse(`${got.stdout}`)), label).toEqual(
      jsonShape(JSON.parse(step.stdout)),
    );
    return 'json';
  }
  expect(got.stdout, label).toBe(step.stdout);
  return 'exact';
}

async function replay(name: string, how: Replay = {}): Promise<Record<string, number>> {
  const made = await recordedNode(scratch.directory(), how.state);
  node = made.node;
  const compared: Record<string, number> = {};
  for (const [index, step] of steps(name).entries()) {
    how.before?.(index, made.node, made.demand);
    if (how.leftOut?.includes(index)) continue;
    const byShape = how.byShape?.includes(index) ?? false;
    const isShell = step.argv[0] === '/bin/bash';
    const kind = isShell ? shellStep(made.node, step) : await commandStep(made.node, step, byShape);
    if (kind !== undefined) compared[kind] = (compared[kind] ?? 0) + 1;
    made.node.advance(400);
  }
  return compared;
}

describe.skipIf(!hasShared)('the recorded commands (of ../shared)', () => {
  it('reads: list, config, status, df, cpusets, exec, wrong arguments', async () => {
    const compared = await replay('10-reads', { byShape: [5, 14, 16, 19] });
    expect(compared).toEqual({ exact: 19, shape: 4, conf: 1 });
  });

  it('set: every option, live and stopped, and every refusal', async () => {
    const compared = await replay('20-set', {
      before: (index, of) => {
        if (index === 1) of.holdConfigLock(101);
        if (index === 2) of.releaseConfigLock(101);
        // Seven commands of half a second went by; pvestatd has passed.
        if (index === 38) of.advance(10_000);
      },
    });
    expect(compared).toEqual({ exact: 33, cgroup: 13, conf: 5 });
  });

  it('set --cores reaches the cpuset with pvestatd only', async () => {
    const compared = await replay('21-set-cores');
    expect(compared).toEqual({ exact: 14, cgroup: 4, conf: 2, done: 2 });
  });

  it('locked: by a lock line, by a held lock file', async () => {
    const compared = await replay('30-locked', { byShape: [3] });
    expect(compared).toEqual({ exact: 13, shape: 1, conf: 2 });
  });

  it('lifecycle: start, stop, reboot, shutdown', async () => {
    const compared = await replay('40-lifecycle', {
      state: {
        conf101: CONF_101_TAGGED.replace('swap: 256', 'swap: 512'),
        conf103: conf103WithUnknownKey(),
      },
      byShape: [9],
      // `ps` inside of a container, whose processes are not simulated.
      leftOut: [6],
    });
    expect(compared).toEqual({ exact: 11, shape: 1, cgroup: 1 });
  });

  it('snapshots, clones, destroying', async () => {
    const compared = await replay('50-clone-snapshot', {
      state: { conf101: CONF_101_TAGGED, conf103: conf103WithUnknownKey() },
      byShape: [1, 4, 11, 12, 13],
    });
    expect(compared).toEqual({ exact: 18, shape: 5, conf: 2 });
  });

  it('configuration files in all forms', async () => {
    const compared = await replay('60-conf-forms', {
      state: {
        conf101: CONF_101_TAGGED.replace(/^#.*\n/gm, '').replace(/tags.*\n/, ''),
        conf103: conf103WithUnknownKey()
          .replace('foo: bar\n', '')
          .replace('cores: 1', 'cores: 2')
          .replace('lxc.signal.halt: SIGUSR1\n', ''),
      },
      // `pvesh get .../pending` is not simulated.
      leftOut: [10],
    });
    expect(compared).toEqual({ exact: 15, conf: 7 });
  });

  it('pvesh: the API, its figures by shape', async () => {
    const compared = await replay('70-pvesh', {
      state: {
        conf101: CONF_101_TAGGED.replace('swap: 256', 'swap: 512'),
        conf103: conf103WithUnknownKey(),
      },
      byShape: [2, 4, 5, 6, 7, 11, 12, 13, 21, 22],
      // Round-robin data, tables for people and the task list are not simulated.
      leftOut: [14, 15, 16, 19],
    });
    expect(compared).toEqual({ exact: 9, shape: 2, json: 8 });
  });

  it('memory set below what is in use exits 0, kills and stops', async () => {
    const compared = await replay('90-memory-below-usage', {
      before: (index, of, demand) => {
        if (index === 1) demand.now = { cpuCores: 0.02, anonMib: 307, fileSetMib: 25 };
        if (index === 2) of.advance(8000);
        if (index === 7) of.advance(5000);
        if (index === 5) {
          const events = readFileSync(`${of.root}/sys/fs/cgroup/lxc/101/memory.events`, 'utf8');
          const recorded = steps('90-memory-below-usage')[5]?.stdout ?? '';
          expect(recorded).toContain(events);
        }
      },
    });
    expect(compared).toEqual({ exact: 8, cgroup: 2, conf: 1 });
    expect(node?.oomKills(101)).toBe(1);
  });

  it('two busy threads at a limit of half a core are throttled as recorded', async () => {
    const made = await recordedNode(scratch.directory());
    node = made.node;
    made.demand.now = { cpuCores: 2, anonMib: 10 };
    made.node.advance(1000);
    const stat = (): Map<string, number> => {
      const text = readFileSync(`${made.node.root}/sys/fs/cgroup/lxc/101/cpu.stat`, 'utf8');
      const rows = text.trimEnd().split('\n');
      return new Map(rows.map((row) => [row.split(' ')[0] ?? '', Number(row.split(' ')[1])]));
    };
    const free = stat().get('usage_usec') ?? 0;
    made.node.advance(2000);
    expect((stat().get('usage_usec') ?? 0) - free).toBeCloseTo(4_000_000, -4);
    await made.node.run(['pct', 'set', '101', '--cpulimit', '0.5']);
    made.node.advance(4500);
    // Recorded: 45 periods, all throttled, 6,656,320 us.
    expect(stat().get('nr_periods')).toBe(45);
    expect(stat().get('nr_throttled')).toBe(45);
    expect(stat().get('throttled_usec')).toBeGreaterThan(6_000_000);
    expect(stat().get('throttled_usec')).toBeLessThan(7_300_000);
  });

  it('a cpuset line of its own, and cpusets written by hand', async () => {
    const conf = (cores: number): string => `arch: amd64\ncores: ${cores}\nmemory: 128\nswap: 0\n`;
    const vmids = [107, 108, 120, 121];
    const guests = vmids.map((vmid) => ({
      vmid,
      conf: conf(vmid === 120 ? 2 : 1),
      demand: () => ({ cpuCores: 0, anonMib: 5 }),
    }));
    const made = await recordedNode(scratch.directory(), {}, { guests });
    node = made.node;
    // 108 and 121 had not been changed since their start.
    for (const vmid of [108, 121]) {
      node.stopContainer(vmid);
      node.startContainer(vmid);
    }
    node.writeCpuset(107, [3]);
    let compared = 0;
    for (const step of steps('22-cpuset')) {
      const script = step.argv[2] ?? '';
      const set = step.argv[0] === 'pct' && step.argv[1] === 'set';
      // Memory is compared elsewhere.
      if (set && step.argv[3] !== '--memory') {
        const got = await node.run(step.argv, 'C');
        expect({ argv: step.argv, ...got }).toMatchObject({ exit: step.exit, stderr: step.stderr });
        // The pin came before pvestatd did.
        if (step.note !== 'put back') node.advance(20_000);
      }
      if (script.startsWith('echo "lxc.')) {
        node.editConfig(120, (text) => `${text}lxc.cgroup2.cpuset.cpus: 3\n`);
      }
      if (step.note === 'the line is taken out: pvestatd counts again') {
        node.editConfig(120, (text) => text.replace(/lxc\..*\n/, ''));
        node.advance(20_000);
      }
      if (step.note?.startsWith('after stop and start')) {
        node.stopContainer(120);
        node.startContainer(120);
      }
      if (script.startsWith('echo 3 >')) node.writeCpuset(108, [3]);
      if (script.startsWith('echo 0-3 >')) node.writeCpuset(108, [0, 1, 2, 3]);
      if (!script.startsWith('for i in 107')) continue;
      node.advance(20_000);
      const found = cpusetSizes(cpusetsOf(node, vmids));
      const recorded = cpusetSizes(step.stdout);
      expect(found[2], step.note).toBe(recorded[2]);
      // Which of the others were moved is a matter of where they happened to start.
      const outer = (rows: readonly string[]) => rows.map((row) => row.replace(/ ns=.*/, ''));
      expect(outer(found), step.note).toEqual(outer(recorded));
      compared += 1;
    }
    expect(compared).toBe(8);
  });

  it('without quorum: what is refused, how, and what has changed all the same', async () => {
    const conf = 'arch: amd64\ncores: 1\nmemory: 112\nrootfs: local-lvm:vm-1-disk-0\nswap: 0\n';
    const guests = [101, 102, 120, 121].map((vmid) => ({
      vmid,
      conf: vmid === 101 ? conf.replace('112', '170') : conf,
      demand: () => ({ cpuCores: 0, anonMib: 5 }),
    }));
    const made = await recordedNode(scratch.directory(), {}, { guests });
    node = made.node;
    node.setQuorum(false);
    const anonymous = (text: string) => text.replace(/tmp\.\d+/g, 'tmp.N').replace(/\nreal.*/s, '');
    let compared = 0;
    for (const step of steps('31-no-quorum')) {
      if (step.argv === undefined) continue;
      const [tool, , script = ''] = step.argv;
      const limit = /^\/sys\/fs\/cgroup\/lxc\/(\d+)\/memory.max$/.exec(step.argv[1] ?? '')?.[1];
      if (limit !== undefined) {
        const path = `${node.root}/sys/fs/cgroup/lxc/${limit}/memory.max`;
        expect(readFileSync(path, 'utf8'), step.note).toBe(step.stdout);
        compared += 1;
      }
      if (tool === 'pvecm' && step.argv[1] === 'expected') node.setQuorum(true);
      const words = tool === 'bash' ? script.replace(/^time /, '').split(' ') : step.argv;
      const known = ['set', 'start', 'stop', 'snapshot', 'clone', 'exec'];
      if (words[0] !== 'pct' || !known.includes(words[1] ?? '')) continue;
      // That the same value touches nothing is another matter.
      if (step.note === 'pct set to what the configuration says already') continue;
      const got = await node.run(words, 'C');
      expect({ words, exit: got.exit }).toEqual({ words, exit: step.exit });
      expect(anonymous(got.stderr).trim(), words.join(' ')).toBe(anonymous(step.stderr).trim());
      compared += 1;
      if (step.note === 'expected votes put down by the admin') break;
    }
    expect(compared).toBeGreaterThanOrEqual(11);
  });

  it('.members with and without quorum, and modes without their w', async () => {
    const made = await recordedNode(scratch.directory());
    node = made.node;
    const members = () => readFileSync(`${made.node.root}/etc/pve/.members`, 'utf8');
    const mode = (path: string) => statSync(`${made.node.root}/etc/pve/${path}`).mode & 0o777;
    expect(parseQuorum(members())).toBe(true);
    node.setQuorum(false);
    expect(parseQuorum(members())).toBe(false);
    const recorded = steps('31-no-quorum')[1]?.stdout.split('\n\n')[0] ?? '';
    expect(jsonShape(JSON.parse(members()))).toEqual(
      JSON.parse(JSON.stringify(jsonShape(JSON.parse(recorded))).replaceAll('pve2', 'pve1x')),
    );
    expect(mode('nodes/pve1/lxc')).toBe(0o555);
    expect(mode('nodes/pve1/lxc/101.conf')).toBe(0o440);
    node.setQuorum(true);
    expect(parseQuorum(members())).toBe(true);
    expect(mode('nodes/pve1/lxc/101.conf') & 0o200).toBe(0o200);
  });
});
