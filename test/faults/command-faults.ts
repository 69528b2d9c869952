import type { Fault } from '../../src/sim/faults.ts';
import type { Random } from './random.ts';

/** What a `pct set` or a `qm set` meets, by chance. */

export interface Met {
  /** For the count of what was really met. */
  readonly name: string;
  readonly fault: Fault;
  /** Virtual milliseconds after which one that is held goes on; undefined: it is not held. */
  readonly heldMs?: number;
  /** When the machine that it is about dies: as the command begins, or with its work. */
  readonly dies?: 'at-once' | 'with-it';
}

type Errors = readonly (readonly [exit: number, stderr: string])[];

const ERRORS: Errors = [
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
];

const QM_USAGE = 'qm set <vmid> [OPTIONS]\n';
const HOTPLUG = 'hotplug problem - 400 Parameter verification failed.\n';
const NOT_RUNNING = `${HOTPLUG}vcpus: VM 202 not running\n\n${QM_USAGE}`;
const GONE_QMP = `400 Parameter verification failed.\nvcpus: ${NOT_RUNNING}`;
const QM_ERRORS: Errors = [
  ...ERRORS.slice(4),
  [255, 'VM is locked (backup)\n'],
  [4, "trying to acquire lock...\ncan't lock file '/var/lock/qemu-server/x' - got timeout\n"],
  [255, 'checksum mismatch (file change by other user?)\n'],
  [255, `400 Parameter verification failed.\nvcpus: ${HOTPLUG}vcpus: error unplugging cpu2\n`],
  [255, 'VM 202 qmp command failed - unable to connect to VM 202 qmp socket - timeout\n'],
  [2, "Configuration file 'nodes/pve1/qemu-server/202.conf' does not exist\n"],
];

const NOISE = [
  '\u0000\u001b[2J\u001b]0;title\u0007\r\n\ud800'.repeat(99),
  'y'.repeat(2_000_000),
  'Die \u00c4nderung wurde \u00fcbernommen.\r\n',
  '{"success": 1, "data": null}\n',
  '',
  'unable to hotplug cores: everything failed\n',
] as const;

type Draw = (random: Random, errors: Errors) => Met;

const fails: Draw = (random, errors) => {
  const [exit, stderr] = random.pick(errors);
  return { name: 'fails', fault: { kind: 'fail', exit, stderr } };
};

const DRAWS: readonly Draw[] = [
  fails,
  fails,
  () => ({ name: 'says success, does nothing', fault: { kind: 'no-effect' } }),
  (random, errors) => {
    const [exit, stderr] = random.pick(errors);
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

export const drawCommandFault = (random: Random): Met => random.pick(DRAWS)(random, ERRORS);

const NOTHING = (): {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
} => ({
  exit: 255,
  stdout: '',
  stderr: GONE_QMP,
});

const MACHINE_DRAWS: readonly Draw[] = [
  ...DRAWS,
  () => ({
    name: 'finds its machine dead',
    fault: { kind: 'slow', delayMs: 0 },
    dies: 'at-once',
  }),
  () => ({
    name: 'loses its machine half-way',
    fault: { kind: 'answer', make: NOTHING, done: 'first-option' },
    dies: 'with-it',
  }),
  () => ({
    name: 'loses its machine before it is read back',
    fault: { kind: 'answer', make: (real) => real },
    dies: 'with-it',
  }),
  () => ({ name: 'is killed half-way', fault: { kind: 'killed', done: 'first-option' } }),
  (random) => ({
    name: 'takes long',
    fault: { kind: 'no-effect' },
    heldMs: random.pick([30_000, 60_000, 120_000]),
  }),
];

/** What a `qm set` meets. */
export const drawMachineFault = (random: Random): Met =>
  random.pick(MACHINE_DRAWS)(random, QM_ERRORS);

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
