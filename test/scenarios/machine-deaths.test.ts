import { describe, expect, it } from 'vitest';
import type { CommandOutcome, SetRequest } from '../../src/node/port.ts';
import type { HalfDone } from '../../src/sim/pct-context.ts';
import type { VirtualNode } from '../../src/sim/virtual-node.ts';
import { vmid } from '../core/builders.ts';
import { type Played, play, type Restart } from './drive.ts';
import { HOUR, MINUTE } from './habits.ts';

/**
 * A machine that dies while it is changed, and a `qm` that is killed between two of its CPUs: what
 * is logged and recorded, what is left for its next start, and how it goes on from there.
 */

const YAML = [
  'DEFAULT:',
  '  manage_vms: true',
  '  poll_interval: 60',
  '  evaluation_periods: {up: 1, down: 2}',
  '  cooldown_seconds: {up: 0, down: 60}',
  '',
].join('\n');
/** When the daemon is ended; by then the one change that goes wrong is over, and so is its wait. */
const AFTERWARDS_MS = 3.5 * MINUTE;
const STARTED_MS = 10 * MINUTE;
/** A `qm` takes less, and the next cycle comes later. */
const BEFORE_THE_NEXT_MS = 40_000;

type Real = (half?: HalfDone) => Promise<CommandOutcome>;
type Accident = (real: Real, node: VirtualNode) => Promise<CommandOutcome>;

const ENDED: CommandOutcome = { kind: 'killed', signal: 'SIGKILL', message: 'it was killed' };
const NO_QEMU: CommandOutcome = {
  kind: 'failed',
  why: 'other',
  exitCode: 255,
  message: 'vcpus: VM 200 not running',
};

/** QEMU is gone, and nobody has tidied up after it. */
const die = ({ vms }: VirtualNode): void => vms.machine.kill(200);

/** The first change of its CPUs meets the accident; all others go well. */
function meeting(node: VirtualNode, accident: Accident): void {
  const { vms, time } = node;
  const real = vms.apply.bind(vms);
  let isOver = false;
  vms.apply = (request: SetRequest) => {
    if (isOver || request.cores === undefined) return real(request);
    isOver = true;
    time.at(STARTED_MS, () => vms.machine.start(200));
    return accident((half) => real(request, half), node);
  };
}

const played = (accident: Accident, restart: Restart | undefined): Promise<Played> =>
  play({
    yaml: YAML,
    guests: [],
    vms: [
      {
        vmid: 200,
        memoryMib: 2048,
        settings: { cores: 4, vcpus: 4, shares: 0, hotplug: 'disk,cpu' },
        guest: { demand: () => ({ cpuCores: 0.1, anonMib: 900, fileSetMib: 600 }) },
      },
    ],
    forMs: HOUR,
    ...(restart && { restarts: [restart] }),
    events: (node) => meeting(node, accident),
  });

const outcomes = ({ node }: Played): readonly (readonly unknown[])[] =>
  node.events.flatMap((event) =>
    event.kind === 'change' && event.resource === 'cores'
      ? [[event.details.status, event.details.before, event.details.after]]
      : [],
  );

const ACCIDENTS: readonly (readonly [
  what: string,
  accident: Accident,
  line: RegExp,
  first: readonly unknown[],
  /** What it is left with. */
  vcpus: string,
])[] = [
  [
    'of which qm is killed after one CPU of three',
    async (real) => (await real('first-option')) && ENDED,
    /^WARN: PARTLY\. VM 200 \(vm200\): cores 4 -> 1 .*It has vcpus 3 now: it was killed; nothing/,
    ['partly', 4, 1],
    '3',
  ],
  [
    'that dies before qm has begun',
    async (real, node) => {
      die(node);
      return real();
    },
    /^ERROR: FAILED\. VM 200 \(vm200\): cores 4 -> 1 .*The VM stopped while it was changed/,
    ['failed', 4, 1],
    '1',
  ],
  [
    'that dies between two of its CPUs',
    async (real, node) => {
      await real('first-option');
      die(node);
      return NO_QEMU;
    },
    /^ERROR: FAILED\. VM 200 \(vm200\): .*stopped while it was changed.*nothing of it is left pend/,
    ['failed', 4, 1],
    '3',
  ],
  [
    'that dies once it is changed, before that is read back',
    async (real, node) => {
      const outcome = await real();
      die(node);
      return outcome;
    },
    /^ERROR: FAILED\. VM 200 \(vm200\): cores 4 -> 1 .*The VM stopped while it was changed/,
    ['failed', 4, 1],
    '1',
  ],
];

describe.each([
  ['and the daemon goes on', undefined],
  ['and the daemon is ended and started', { atMs: AFTERWARDS_MS }],
  ['and the daemon is killed and started', { atMs: AFTERWARDS_MS, crash: true }],
])('a machine in mid-change, %s', (_, restart) => {
  it.each(ACCIDENTS)('%s', async (_what, accident, line, first, vcpus) => {
    let left: readonly unknown[] = [];
    const one = await played(async (real, node) => {
      node.time.at(node.time.nowMs + BEFORE_THE_NEXT_MS, () => {
        const conf = node.vms.machine.conf(200);
        left = [conf?.main.get('vcpus'), [...(conf?.pending ?? [])]];
      });
      return accident(real, node);
    }, restart);
    const { node, state } = one;
    expect(node.lines.filter((text) => line.test(text)).length).toBe(1);
    // What its guest has not given waits for no start.
    expect(left).toEqual([vcpus, []]);
    const [told, ...later] = outcomes(one);
    expect(told).toEqual(first);
    // What is left is known to be ours, and it goes on from there.
    expect(later).toEqual(vcpus === '3' ? [['confirmed', 3, 1]] : []);
    expect(node.lines.join('\n')).not.toContain('not by this program');
    const { known, unsettled, intended } = state.guests.get(vmid(200)) ?? {};
    expect([known?.cores, unsettled, intended]).toEqual([1, undefined, undefined]);
    expect(node.vms.machine.conf(200)?.main.get('vcpus')).toBe('1');
  });
});
