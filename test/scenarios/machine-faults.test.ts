import { describe, expect, it } from 'vitest';
import type { CommandOutcome, SetRequest } from '../../src/node/port.ts';
import type { HalfDone } from '../../src/sim/pct-context.ts';
import type { VirtualNode } from '../../src/sim/virtual-node.ts';
import type { BalloonDriver } from '../../src/sim/vm-guest.ts';
import type { VmSpec } from '../../src/sim/vms.ts';
import { Random } from '../faults/random.ts';
import { type Played, play } from './drive.ts';
import { HOUR, MINUTE } from './habits.ts';

/** Machines whose guests refuse, and whose `qm` fails in many ways, by chance. */

const FOR_MS = 8 * HOUR;
const CALM_FROM_MS = FOR_MS - 2 * HOUR;
const LEAST_MIB = 512;
const MOST_MIB = 6144;
const YAML = [
  'DEFAULT:',
  '  manage_vms: true',
  '  poll_interval: 60',
  '  cooldown_seconds: {up: 0, down: 60}',
  '  evaluation_periods: {up: 1, down: 2}',
  '  first_shrink_seconds: 60',
  '  start_grace_seconds: 60',
  `  min_memory: ${LEAST_MIB}`,
  `  max_memory: ${MOST_MIB}`,
  '  max_cores: 8',
  'TIER_PARTS:',
  '  virtual_machines: [201]',
  '  cpu_unit: cpulimit',
  '',
].join('\n');

const LIVE = { shares: 0, hotplug: 'cpu,memory,disk', numa: 1 };
const SETTINGS: Readonly<Record<number, VmSpec['settings']>> = {
  200: { ...LIVE, cores: 8, vcpus: 4, balloon: 3072 },
  201: { cores: 4, shares: 0, balloon: 3072, cpulimit: 2 },
  202: { ...LIVE, cores: 8, vcpus: 2 },
};

function vmsOf(seed: string): VmSpec[] {
  return Object.entries(SETTINGS).map(([id, settings]) => {
    const level = (index: number) => new Random(seed, id, 'level', index);
    const memory = (index: number): number => level(index).pick([300, 700, 1100, 1600, 2400]);
    const spell = (ms: number, what: string): Random =>
      new Random(seed, id, what, Math.floor(ms / (40 * MINUTE)));
    let nowMs = 0;
    return {
      vmid: Number(id),
      memoryMib: id === '202' ? 2048 : 4096,
      ...(settings && { settings }),
      guest: {
        demand: (ms: number) => {
          nowMs = ms;
          const [index, share] = [Math.floor(ms / (20 * MINUTE)), (ms / (20 * MINUTE)) % 1];
          const anonMib = memory(index - 1) + (memory(index) - memory(index - 1)) * share;
          return { cpuCores: level(index).pick([0.1, 0.5, 1.5, 4]), anonMib, fileSetMib: 400 };
        },
        get refusesUnplug() {
          return spell(nowMs, 'refuses').chance(0.4);
        },
        get driver(): BalloonDriver {
          return spell(nowMs, 'driver').pick(['prompt', 'prompt', 'slow', 'absent']);
        },
      },
    };
  });
}

const fails = (why: 'busy' | 'other', message: string): CommandOutcome => ({
  kind: 'failed',
  why,
  exitCode: 255,
  message,
});
const KILLED: CommandOutcome = { kind: 'killed', signal: 'SIGKILL', message: 'it was killed' };

class Trouble {
  readonly broken: string[] = [];
  readonly met = new Map<string, number>();
  readonly #random: Random;
  /** Machines at which a `qm` is at work that its caller has left. */
  readonly #atWork = new Set<number>();
  readonly #node: VirtualNode;

  constructor(seed: string, node: VirtualNode) {
    this.#random = new Random(seed, 'qm');
    this.#node = node;
    const real = node.vms.apply.bind(node.vms);
    node.vms.apply = (request) => this.#apply(request, real);
    // What an administrator has pending, of keys that are none of the program's.
    for (const id of Object.keys(SETTINGS)) this.#edit(Number(id));
  }

  #edit(vmid: number): void {
    const { machine } = this.#node.vms;
    const conf = machine.conf(vmid);
    if (conf === undefined) return;
    conf.pending.set('affinity', '0-3');
    machine.save(vmid, conf);
  }

  async #apply(
    request: SetRequest,
    real: (request: SetRequest, half?: HalfDone) => Promise<CommandOutcome>,
  ): Promise<CommandOutcome> {
    this.#judge(request);
    const { time } = this.#node;
    // It holds the lock of the configuration.
    if (this.#atWork.has(request.vmid)) return fails('busy', 'got timeout');
    if (time.nowMs > CALM_FROM_MS || !this.#random.chance(0.5)) return real(request);
    const late = this.#random.whole(1, 600) * 1000;
    const draws: readonly [string, () => Promise<CommandOutcome>][] = [
      ['busy', async () => fails('busy', 'got timeout')],
      ['says success', async () => ({ kind: 'done' })],
      ['says failure', async () => (await real(request)) && fails('other', 'nonsense')],
      ['killed half-way', async () => (await real(request, 'first-option')) && KILLED],
      [
        'comes late',
        async () => {
          this.#atWork.add(request.vmid);
          const end = (): void => void this.#atWork.delete(request.vmid);
          time.at(time.nowMs + late, () => void real(request).finally(end));
          await time.sleep(40_000);
          return { kind: 'timed-out', afterMs: 40_000 as never, message: 'no answer' };
        },
      ],
    ];
    const [name, meet] = this.#random.pick(draws);
    this.met.set(name, (this.met.get(name) ?? 0) + 1);
    return meet();
  }

  #judge({ vmid, memoryMib }: SetRequest): void {
    const { vms } = this.#node;
    const guest = vms.machine.running(vmid)?.guest;
    const file = vms.read(vmid);
    if (memoryMib === undefined || guest === undefined || !file.ok) return;
    const before = file.value.config.memoryMib;
    const who = `${vmid} at ${Math.round(this.#node.time.nowMs / 1000)} s: ${before} ->`;
    if (memoryMib > Math.max(MOST_MIB, before)) this.broken.push(`${who} ${memoryMib}, too much`);
    const needMib = guest.anonMib + guest.actualMib - guest.totalMib;
    if (memoryMib < before && memoryMib < Math.max(needMib, LEAST_MIB)) {
      this.broken.push(`${who} ${memoryMib}, and it needs ${Math.round(needMib)}`);
    }
  }
}

/** A machine under way is cut off: the daemon is killed, or ended, and started again. */
const restartsOf = (seed: string) =>
  Array.from({ length: 6 }, (_, index) => {
    const random = new Random(seed, 'restart', index);
    const atMs = (index + 0.5) * HOUR + random.whole(0, 20 * 60) * 1000;
    return { atMs, crash: random.chance(0.7), downMs: random.whole(0, 300) * 1000 };
  });

function leftPending({ node }: Played): readonly string[] {
  return Object.keys(SETTINGS).flatMap((id) => {
    const conf = node.vms.machine.conf(Number(id));
    return [...(conf?.pending ?? [])].map(([key, value]) => `${id} ${key}: ${value}`);
  });
}

describe('machines with everything against them', () => {
  const seeds = ['0', '1', '2'];

  it.each(seeds)(
    'are never hurt, and nothing is left for their next start (seed %s)',
    async (seed) => {
      const troubles: Trouble[] = [];
      const played = await play({
        yaml: YAML,
        guests: [],
        vms: vmsOf(seed),
        forMs: FOR_MS,
        restarts: restartsOf(seed),
        events: (node) => troubles.push(new Trouble(seed, node)),
      });
      const [{ broken, met } = { broken: ['no trouble'], met: new Map() }] = troubles;
      expect(broken).toEqual([]);
      expect(met.size).toBeGreaterThan(2);
      expect(played.node.vms.sets.length).toBeGreaterThan(40);
      expect(leftPending(played)).toEqual(Object.keys(SETTINGS).map((id) => `${id} affinity: 0-3`));
      expect(played.node.lines.filter((line) => line.includes('not by this program'))).toEqual([]);
    },
  );
});
