import { setTimeout as wait } from 'node:timers/promises';
import type { ProcessContext } from '../app/context.ts';
import { openFarNodes } from '../app/far-nodes.ts';
import { type FarNode, whyUnseen } from '../app/world.ts';
import { takenIn } from '../config/found-nodes.ts';
import { type Config, waysOf } from '../config/model.ts';
import { type ConfigOnNode, onNode } from '../config/on-node.ts';
import { manage } from '../config/resolve.ts';
import { lackWords } from '../core/day-seen.ts';
import { foundWords, sortOut } from '../core/found-nodes.ts';
import { NO_GUARD } from '../core/memory-guard.ts';
import { plainText } from '../core/plain-text.ts';
import { milliseconds } from '../core/units.ts';
import { isOnNode } from '../node/local/paths.ts';
import { programProblem } from '../os/executable-files.ts';
import { table } from '../output/table.ts';
import { checkGroups } from './check-groups.ts';
import { type GuestLack, lackLines } from './lack-lines.ts';

/** For all nodes together: whoever checks a configuration waits for the answer. */
const LIMIT_MS = milliseconds(15_000);

/**
 * The further nodes of a configuration: whether each is reached, or why not. Only reads.
 * @param limitMs after which those that have not answered are named as such
 */
export async function nodeLines(
  config: Config,
  context: Pick<ProcessContext, 'clock' | 'paths' | 'env'>,
  limitMs = LIMIT_MS,
): Promise<readonly string[]> {
  const far = openFarNodes(config, context);
  const ending = new AbortController();
  const limit = wait(limitMs, undefined, { signal: ending.signal }).catch(() => {});
  const ways = far.flatMap((one) => one.ways ?? [one]);
  const seen = ways.map(async (one): Promise<readonly string[]> => {
    const looked = one.eyes.observe().then(() => stateOf(one));
    return Promise.race([looked, limit.then(() => unanswered(limitMs))]);
  });
  try {
    const states = await Promise.all(seen);
    const rows = config.nodes.flatMap(waysOf).map(({ name, host, port, connection }, index) => {
      return [name, `${host}:${port}`, connection.toUpperCase(), ...(states[index] ?? [])];
    });
    const head = ['NODE', 'HOST', 'BY', 'CONTAINERS', 'STATE'];
    // What is in use is the first that answers.
    const lacks = far.flatMap((one) => {
      const all = one.ways ?? [one];
      const used = all.find((way) => whyUnseen(way) === undefined) ?? one;
      return nodeLacks(used, onNode(config, one.name));
    });
    const found = foundLines(config, far, context);
    const groups = await Promise.all(far.map((one) => groupLines(one, config)));
    const lines = ['', 'Other nodes:', '', ...table([head, ...rows])];
    return [...lines, ...found, ...lacks, ...groups.flat()];
  } finally {
    ending.abort();
    for (const { close } of far) close();
  }
}

/** Those that are there because of `discover`, and those that the daemon is going to add. */
function foundLines(
  config: Config,
  far: readonly FarNode[],
  { paths }: Pick<ProcessContext, 'paths'>,
): readonly string[] {
  const known = config.nodes.flatMap(({ name, found }) =>
    found === undefined ? [] : [{ ...found, name, seenMs: milliseconds(0) }],
  );
  const now = known.map(({ name, by, leftMs }) => `${name}: ${foundWords(by, leftMs)}`);
  const seenOf = (name: string) => far.find((one) => one.name === name)?.cluster?.seen();
  const ownOf = (name: string): string | undefined => {
    const seen = seenOf(name);
    return seen?.ok === true ? seen.value.own : undefined;
  };
  const isTaken = takenIn(config, isOnNode(paths.at) ? paths.nodeName() : '', ownOf);
  const coming = config.nodes.flatMap(({ name, discovers }) => {
    const seen = seenOf(name);
    if (discovers !== true || seen?.ok !== true) return [];
    const { fresh, odd } = sortOut(seen.value, name, known, isTaken);
    const names = fresh.map((one) => one.name).join(', ');
    const strange = odd.slice(0, 5).map((text) => plainText(text, 64));
    const skipped = strange.length === 0 ? [] : [`no node can be called ${strange.join(', ')}`];
    const added = `\`discover\` adds ${names}, only observed for the first day`;
    return [...(fresh.length === 0 ? [] : [added]), ...skipped].map((text) => `${name}: ${text}`);
  });
  return now.length + coming.length === 0 ? [] : ['', ...now, ...coming];
}

/** The groups that are on a further node, and what is to be said of them. */
async function groupLines(far: FarNode, config: Config): Promise<readonly string[]> {
  const { name, eyes, groups } = far;
  const there = onNode(config, name);
  if (there.groups.length === 0 || groups === undefined || far.problem() !== undefined) return [];
  await groups.cluster.look?.();
  const listed = eyes.guests.list();
  const guests = listed.ok ? listed.value : undefined;
  const read = () => groups.cluster.read();
  const { remarks, lines } = checkGroups(there, guests, programProblem, read, ` on ${name}`);
  return [...lines, ...remarks.map((remark) => `${name}: ${remark}`)];
}

const unanswered = (limitMs: number) => ['-', `no answer within ${limitMs / 1000} s`];

/** How many containers it shows, and whether it is reached. */
function stateOf(far: FarNode): readonly string[] {
  const listed = far.eyes.guests.list();
  const problem = listed.ok ? whyUnseen(far) : listed.detail;
  return [listed.ok ? `${listed.value.size}` : '-', plainText(problem ?? 'reached')];
}

/** Of each guest whose memory cannot be proven there, what is missing for it to shrink. */
function nodeLacks({ name, eyes }: FarNode, config: ConfigOnNode): readonly string[] {
  const listed = eyes.guests.list();
  if (!listed.ok) return [];
  const lacks = [...listed.value.values()].flatMap((guest): readonly GuestLack[] => {
    if (!guest.ok || eyes.cgroups.capabilities(guest.value.vmid)?.workingSet !== false) return [];
    const management = manage(config, guest.value);
    if (management.kind === 'ignored') return [];
    const { vmid } = guest.value;
    const { unproven, guard } = management.policy.memory;
    const lack = lackWords(unproven === true, undefined, guest.value);
    const all = [lack, guard && NO_GUARD];
    return all.flatMap((each): readonly GuestLack[] => (each ? [[vmid, each]] : []));
  });
  return lackLines(lacks).map((line) => `${name}: ${line}`);
}
