import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededRandom } from '../../src/core/seeded-random.ts';
import type { SimulatedNode } from '../../src/sim/node.ts';
import { filesBelow } from '../files-below.ts';
import { startFastDaemon } from '../long/fast-daemon.ts';
import type { EarlierBuild } from './earlier-builds.ts';
import {
  BY_HAND,
  beginning,
  configurationFor,
  FIRST_CLONE,
  Happenings,
  RESTLESS,
  START_MS,
  stage,
  UPTIME_MS,
} from './stage.ts';

/**
 * An earlier build and today's program in turn on one node, while containers are changed in nearly
 * each cycle: each is ended or killed at any moment, and the other one goes on at once.
 */

export interface RelayOptions {
  readonly home: string;
  readonly build: EarlierBuild;
  /** The programs in their order, as paths. */
  readonly runners: readonly string[];
  readonly legMs: number;
  readonly seed: number;
}

export interface Leg {
  readonly program: string;
  readonly endMs: number;
  readonly how: NodeJS.Signals;
}

export interface Relay {
  readonly legs: readonly Leg[];
  /** Changes of containers: `pct set` that worked, and lines of the journal. */
  readonly sets: number;
  readonly lines: number;
  /** Told once more by the next program, as the one before was killed in between. */
  readonly toldTwice: number;
  readonly faults: readonly string[];
}

export async function relay(options: RelayOptions): Promise<Relay> {
  const { build, runners, legMs, seed, home } = options;
  const random = seededRandom(seed);
  const directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-relay-'));
  const root = join(directory, 'node');
  const stageOptions = { root, commandDelayMs: 20, pvestatdPeriodMs: 5000 };
  const node = await stage(stageOptions, beginning(build, RESTLESS));
  const legs: Leg[] = [];
  const faults: string[] = [];
  try {
    let elapsedMs = 0;
    for (const [place, bundle] of runners.entries()) {
      const how = random() < 0.5 ? 'SIGTERM' : 'SIGKILL';
      // Within a cycle as well as between two: changes are made in the first second of one.
      const endMs = (place + 1) * legMs + (random() < 0.7 ? random() * 1500 : random() * 60_000);
      const happenings = new Happenings(node, elapsedMs);
      const daemon = startFastDaemon({
        node,
        home,
        bundle,
        startMs: START_MS,
        uptimeMs: UPTIME_MS,
        elapsedMs,
        ...(place === 0 && { yaml: configurationFor(build) }),
        onTime: (nowMs) => {
          happenings.goOn(nowMs);
          elapsedMs = nowMs;
          if (nowMs >= endMs) setTimeout(() => daemon.child.kill(how), random() * 60);
        },
      });
      const { code, stderr } = await daemon.ended;
      const isFine = how === 'SIGKILL' ? code === null : code === 0;
      if (!isFine || stderr !== '') faults.push(`leg ${place + 1} ended with ${code}: ${stderr}`);
      legs.push({ program: bundle, endMs: elapsedMs, how });
      await stilled(node);
      // Its own clock goes on in real time, and the next one must not begin before it.
      elapsedMs += 5000;
      node.advance(5000);
    }
    return { legs, ...judge(node, root, legs, faults) };
  } finally {
    await node.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What a daemon that was killed has begun comes to its end. */
async function stilled(node: SimulatedNode): Promise<void> {
  for (let turn = 0; turn < 200; turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    if (node.calls.every(({ exit }) => exit !== undefined)) return;
  }
}

/**
 * One is refused on purpose; that a thread takes real time is not seen by the fast clock; earlier
 * builds took a change that the end came before for a failure.
 */
const EXPECTED = /Container 104|the file system does not answer|the daemon is stopping/;

interface Change {
  readonly vmid: number;
  readonly resource: string;
  readonly after: number;
  readonly atMs: number;
}

const text = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

function judge(
  node: SimulatedNode,
  root: string,
  legs: readonly Leg[],
  before: readonly string[],
): Omit<Relay, 'legs'> {
  const faults = [...before];
  const sets = setsOf(node);
  const lines = linesOf(root);
  let toldTwice = 0;
  const keys = new Set([...sets, ...lines].map(({ vmid, resource }) => `${vmid}/${resource}`));
  for (const key of keys) {
    const ofKey = ({ vmid, resource }: Change): boolean => key === `${vmid}/${resource}`;
    const made = sets.filter(ofKey);
    const told = lines.filter(ofKey);
    made.forEach((each, at) => {
      if (at > 0 && made[at - 1]?.after === each.after && !key.startsWith(`${BY_HAND}/`))
        faults.push(`${key} was set to ${each.after} twice, ${minute(each.atMs)}`);
    });
    let next = 0;
    for (const line of told) {
      if (made[next]?.after === line.after) next += 1;
      else if (made[next - 1]?.after === line.after && isAfterKill(line, legs)) toldTwice += 1;
      else faults.push(`${key} -> ${line.after} was told and not made, ${minute(line.atMs)}`);
    }
    for (const { after, atMs } of made.slice(next))
      faults.push(`${key} -> ${after} was made and not told, ${minute(atMs)}`);
  }
  const errors = text(join(root, 'var/log/lxc_autoscale.log'))
    .split('\n')
    .filter((line) => / - (?:ERROR|CRITICAL) - /.test(line) && !EXPECTED.test(line));
  faults.push(...errors.slice(0, 5), ...lostBackups(root, sets));
  return { sets: sets.length, lines: lines.length, toldTwice, faults };
}

const minute = (atMs: number): string => `in minute ${(atMs / 60_000).toFixed(2)}`;

const isAfterKill = ({ atMs }: Change, legs: readonly Leg[]): boolean =>
  legs.some(({ how, endMs }) => how === 'SIGKILL' && atMs >= endMs && atMs <= endMs + 90_000);

/** Without those that make a clone what it is to be: they are steps of its group. */
function setsOf({ calls }: SimulatedNode): readonly Change[] {
  return calls
    .filter(({ argv, exit }) => argv[0] === 'pct' && argv[1] === 'set' && exit === 0)
    .filter(({ argv }) => !argv.includes('--net0'))
    .flatMap(({ argv, atMs }) =>
      ['cores', 'memory'].flatMap((resource) => {
        const at = argv.indexOf(`--${resource}`);
        const after = Number(argv[at + 1]);
        return at < 0 ? [] : [{ vmid: Number(argv[2]), resource, after, atMs }];
      }),
    );
}

function linesOf(root: string): readonly Change[] {
  return text(join(root, 'var/log/lxc_autoscale.json'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
    .filter(({ event, status, kind }) => {
      return event === 'change' && kind !== 'qemu' && /^(?:confirmed|pending|partly)$/.test(status);
    })
    .filter(({ resource }) => resource === 'cores' || resource === 'memory')
    .map(({ container_id, resource, after, time }) => ({
      vmid: Number(container_id),
      resource,
      after,
      atMs: Date.parse(time) - START_MS,
    }));
}

/** Each container that was changed has a copy of what it had in the beginning. */
function lostBackups(root: string, sets: readonly Change[]): readonly string[] {
  const changed = new Set(sets.map(({ vmid }) => vmid));
  return [...changed].flatMap((vmid) => {
    const directory = join(root, `var/lib/lxc_autoscale/backups/${vmid}`);
    const names = filesBelow(directory).filter((name) => name.endsWith('.conf'));
    const oldest = text(join(directory, names[0] ?? ''));
    const isWhole = oldest.includes(vmid < FIRST_CLONE ? `hostname: ct${vmid}\n` : 'hostname: web');
    return isWhole && /^cores: 2$/m.test(oldest)
      ? []
      : [`container ${vmid} has lost its first copy`];
  });
}
