import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SimulatedNode } from '../../src/sim/node.ts';
import type { RestCall, RestFault, RestOptions, RestServer } from '../../src/sim/rest-server.ts';
import { SERVER_TLS } from '../notify/certificate.ts';
import type { Random } from './random.ts';
import { MANAGED } from './stage.ts';

/** What goes wrong between the program and a node that it reaches by the API, by chance. */

export interface FarFault {
  readonly name: string;
  readonly fault: RestFault;
  /** Virtual time that passes before the answer. */
  readonly takesMs?: number;
  /** The node says nothing more for so long afterwards. */
  readonly deadMs?: number;
}

type Draw = (random: Random) => FarFault;

const answers = (status: number, words: string, body?: string, location?: string): Draw => {
  const more = { ...(body !== undefined && { body }), ...(location !== undefined && { location }) };
  const name = `answers ${status}${body === undefined ? '' : ` ${body.slice(0, 12)}`}`;
  return () => ({ name, fault: { kind: 'answers', status, words, ...more } });
};

const plain =
  (name: string, fault: RestFault): Draw =>
  () => ({ name, fault });

const ANSWERS: readonly Draw[] = [
  answers(302, 'Found', '', 'https://127.0.0.1:1/elsewhere'),
  answers(301, 'Moved', '', '/api2/json/cluster/resources'),
  answers(401, 'permission denied - invalid PVE ticket'),
  answers(403, 'Permission check failed (/vms/101, VM.Audit)'),
  answers(500, "can't lock file '/run/lock/lxc/pve-config-101.lock' - got timeout"),
  answers(500, 'cluster not ready - no quorum?'),
  answers(503, 'service unavailable'),
  answers(595, 'Connection refused'),
  answers(596, 'Connection timed out'),
  answers(599, 'Too many redirections'),
  answers(200, 'OK', '<html>a proxy</html>'),
  answers(200, 'OK', '{"data":null}'),
  answers(200, 'OK', '{"data":[]}'),
  answers(200, 'OK', '{"data":{"digest":7}}'),
  answers(200, 'OK', ''),
];

const BREAKS: readonly Draw[] = [
  plain('reset before', { kind: 'reset', isDone: false }),
  plain('reset after', { kind: 'reset', isDone: true }),
  plain('half a body', { kind: 'cut' }),
  plain('too long a length', { kind: 'length', by: 40 }),
  plain('too short a length', { kind: 'length', by: -40 }),
  plain('no daemon', { kind: 'no-daemon' }),
  (random) => ({
    name: 'slow',
    fault: { kind: 'slow', delayMs: 1 },
    takesMs: random.pick([800, 4000, 15_000]),
  }),
];

const SILENT: Draw = plain('silent', { kind: 'silent' });
const LATE: Draw = plain('late', { kind: 'slow', delayMs: 700 });

const DIES: Draw = (random) => ({
  name: 'the node dies after it',
  fault: { kind: 'reset', isDone: true },
  deadMs: random.whole(1000, 40_000),
});

export function drawFarFault(random: Random, { method }: RestCall): FarFault {
  // Real time is waited for these.
  if (random.chance(0.02)) return random.pick([SILENT, LATE])(random);
  if (method === 'PUT' && random.chance(0.25)) return DIES(random);
  return random.pick(random.chance(0.5) ? ANSWERS : BREAKS)(random);
}

export interface FarScene {
  readonly node: SimulatedNode;
  readonly server: RestServer;
  readonly random: Random;
  later(ms: number, what: () => void): void;
  jumpClock(ms: number): void;
  /** The clock of the node is set: its tickets are older, or of a time to come. */
  skewTickets(ms: number): void;
  /** The program ends at the next request of its own. */
  stopSoon(): void;
  restart(): void;
}

const HOUR_MS = 3_600_000;

export const FAR_HAPPENINGS: readonly (readonly [string, (scene: FarScene) => void])[] = [
  ['tickets are worth nothing', ({ server }) => server.forgetTickets()],
  ['connections are closed', ({ server }) => server.closeConnections()],
  ['the clock jumps a day ahead', ({ jumpClock }) => jumpClock(24 * HOUR_MS)],
  ['the clock jumps a day back', ({ jumpClock }) => jumpClock(-24 * HOUR_MS)],
  [
    'the clock is set by a minute',
    ({ jumpClock, random }) => jumpClock(random.pick([-1, 1]) * 6e4),
  ],
  ['the clock of the node is set ahead', ({ skewTickets }) => skewTickets(3 * HOUR_MS)],
  ['the clock of the node is set back', ({ skewTickets }) => skewTickets(-3 * HOUR_MS)],
  ['the program is ended in a request', ({ stopSoon }) => stopSoon()],
  ['the program is started anew', ({ restart }) => restart()],
  [
    'another certificate',
    ({ server, later, random }) => {
      server.setCertificate(otherCertificate());
      later(random.whole(5000, 40_000), () => server.setCertificate(SERVER_TLS));
    },
  ],
  [
    'an admin sets memory and cores',
    ({ node, random }) => {
      const vmid = String(random.pick(MANAGED));
      void node.run(['pct', 'set', vmid, '--cores', String(random.whole(1, 5))]);
      void node.run(['pct', 'set', vmid, '--memory', String(random.whole(2, 10) * 256)]);
    },
  ],
  [
    'a guest is stopped for a while',
    ({ node, random, later }) => {
      const vmid = random.pick(MANAGED);
      if (node.machine.running(vmid) === undefined) return;
      node.stopContainer(vmid);
      later(random.whole(1000, 60_000), () => {
        if (node.machine.running(vmid) === undefined) node.startContainer(vmid);
      });
    },
  ],
  [
    'a guest is locked for a while',
    ({ node, random, later }) => {
      const vmid = random.pick(MANAGED);
      node.setLock(vmid, 'backup');
      later(random.whole(1000, 60_000), () => node.setLock(vmid, undefined));
    },
  ],
  [
    'pvestatd pauses',
    ({ node, random, later }) => {
      node.setPvestatd(false);
      later(random.whole(10_000, 90_000), () => node.setPvestatd(true));
    },
  ],
  [
    'the cluster loses its quorum',
    ({ node, random, later }) => {
      node.setQuorum(false);
      later(random.whole(10_000, 120_000), () => node.setQuorum(true));
    },
  ],
];

let other: RestOptions['tls'] | undefined;

/** Of somebody who says to be the same host. */
function otherCertificate(): RestOptions['tls'] {
  if (other !== undefined) return other;
  const directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-other-'));
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(directory, name)) as [
    string,
    string,
  ];
  const made = ['-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=127.0.0.1'];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  execFileSync('openssl', ['req', '-x509', ...kind, ...made], { stdio: 'ignore' });
  other = { cert: readFileSync(cert), key: readFileSync(key) };
  rmSync(directory, { recursive: true });
  return other;
}
