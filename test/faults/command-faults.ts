import type { Fault } from '../../src/sim/faults.ts';
import type { Random } from './random.ts';

/** What a `pct set` meets, by chance. */

export interface Met {
  /** For the count of what was really met. */
  readonly name: string;
  readonly fault: Fault;
  /** Virtual milliseconds after which one that is held goes on; undefined: it is not held. */
  readonly heldMs?: number;
}

const ERRORS = [
  [255, 'CT is locked (backup)\n'],
  [4, "trying to acquire lock...\ncan't lock file '/run/lock/lxc/x.lock' - got timeout\n"],
  [255, 'detected modified configuration - file changed by other user? Try again.\n'],
  [22, '400 Parameter verification failed.\ncores: unable to hotplug cores: closed\n'],
  [1, ''],
  [111, 'ipcc_send_rec[1] failed: Connection refused\n'],
  [255, 'FEHLER: Zugriff verweigert \u2013 Ger\u00e4t nicht verf\u00fcgbar\n'],
  [255, '\u65e0\u6cd5\u9501\u5b9a\u6587\u4ef6\uff1a\u6743\u9650\u4e0d\u591f\n'],
  [2, 'line one\r\nline two\r\n'],
  [70, 'x'.repeat(3_000_000)],
] as const;

const NOISE = [
  '\u0000\u001b[2J\u001b]0;title\u0007\r\n\ud800'.repeat(99),
  'y'.repeat(2_000_000),
  'Die \u00c4nderung wurde \u00fcbernommen.\r\n',
  '{"success": 1, "data": null}\n',
  '',
  'unable to hotplug cores: everything failed\n',
] as const;

type Draw = (random: Random) => Met;

const fails: Draw = (random) => {
  const [exit, stderr] = random.pick(ERRORS);
  return { name: 'fails', fault: { kind: 'fail', exit, stderr } };
};

const DRAWS: readonly Draw[] = [
  fails,
  fails,
  () => ({ name: 'says success, does nothing', fault: { kind: 'no-effect' } }),
  (random) => {
    const [exit, stderr] = random.pick(ERRORS);
    const make = () => ({ exit, stdout: '', stderr });
    return { name: 'succeeds, says failure', fault: { kind: 'answer', make } };
  },
  (random) => {
    const [stdout, stderr] = [random.pick(NOISE), random.pick(NOISE)];
    const make = (real: { readonly exit: number }) => ({ exit: real.exit, stdout, stderr });
    return { name: 'prints noise', fault: { kind: 'answer', make } };
  },
  (random) => ({
    name: 'hangs before its work',
    fault: { kind: 'hang', ignoreSigterm: random.chance(0.3), child: random.chance(0.3) },
  }),
  (random) => ({
    name: 'hangs after its work',
    fault: {
      kind: 'hang',
      afterWork: true,
      ignoreSigterm: random.chance(0.3),
      child: random.chance(0.3),
    },
  }),
  (random) => ({
    name: 'is killed half-way',
    fault: {
      kind: 'killed',
      done: random.pick(['first-option', 'live-only']),
      signal: random.pick(['SIGKILL', 'SIGTERM']),
    },
  }),
  (random) => ({
    name: 'takes long',
    fault: { kind: 'no-effect' },
    heldMs: random.pick([2_000, 12_000, 38_000, 39_990, 45_000]),
  }),
];

export const drawCommandFault = (random: Random): Met => random.pick(DRAWS)(random);

const LXC = '/etc/pve/nodes/pve1/lxc';

/** A cluster without quorum: nothing under `/etc/pve` can be written. */
export const noQuorum = (vmid: string): Met => ({
  name: 'no quorum',
  fault: {
    kind: 'fail',
    exit: 13,
    stderr: `unable to open file '${LXC}/${vmid}.conf.tmp.4711' - Permission denied\n`,
  },
});

/** These may take half an hour, which is longer than a trial. */
const NEVER_HANG: ReadonlySet<string> = new Set(['snapshot', 'delsnapshot', 'destroy']);

/** What a command of a group meets; a query is asked by `pvesh get`. */
export function drawGroupFault(random: Random, verb: string): Met {
  for (;;) {
    const met = drawCommandFault(random);
    const isNoSet = verb !== 'set' && met.fault.kind === 'killed';
    if (isNoSet || (NEVER_HANG.has(verb) && met.fault.kind === 'hang')) continue;
    return met;
  }
}
