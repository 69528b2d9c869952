import { isMoment, milliseconds, parseVmid } from '../units.ts';
import { type NodeWeek, newNodeWeek, newWeek, type ShortBefore, type Week } from './week.ts';

/** What a weekly report will count, as it lies on the disk, so that a restart loses nothing. */

const WEEK_FORMAT = 1;

export function toSavedWeek({ sinceMs, nodes }: Week): unknown {
  const saved = [...nodes].map(([name, { atMaximumMs, before, ...counts }]) => [
    name,
    {
      ...counts,
      atMaximumMs: Object.fromEntries(atMaximumMs),
      before: Object.fromEntries(before),
    },
  ]);
  return { format: WEEK_FORMAT, sinceMs, nodes: Object.fromEntries(saved) };
}

/** What was saved; undefined if anything of it makes no sense, since a count would be wrong. */
export function fromSavedWeek(saved: unknown): Week | undefined {
  if (!isObject(saved) || saved['format'] !== WEEK_FORMAT) return undefined;
  const { sinceMs, nodes } = saved;
  if (!isMoment(sinceMs) || !isObject(nodes)) return undefined;
  const week = newWeek(milliseconds(sinceMs));
  for (const [name, one] of Object.entries(nodes)) {
    const node = toNode(one);
    if (node === undefined) return undefined;
    week.nodes.set(name, node);
  }
  return week;
}

function toNode(saved: unknown): NodeWeek | undefined {
  if (!isObject(saved)) return undefined;
  const { seenMs, failed, changes, members, atMaximumMs, before } = saved;
  if (![changes, members, atMaximumMs, before].every(isObject)) return undefined;
  const { cores, memory } = changes as Fields;
  const [ofCores, ofMemory] = [pairOf(cores, 'up', 'down'), pairOf(memory, 'up', 'down')];
  const moved = pairOf(members, 'out', 'in');
  if (!isAmount(seenMs) || !isAmount(failed)) return undefined;
  if (ofCores === undefined || ofMemory === undefined || moved === undefined) return undefined;
  const week: NodeWeek = {
    ...newNodeWeek(),
    seenMs,
    failed,
    members: moved,
    changes: { cores: ofCores, memory: ofMemory },
  };
  for (const [key, ms] of Object.entries(atMaximumMs as Fields)) {
    if (!AT_MAXIMUM.test(key) || !isAmount(ms)) return undefined;
    week.atMaximumMs.set(key, ms);
  }
  for (const [id, one] of Object.entries(before as Fields)) {
    const vmid = parseVmid(id);
    const short = toShort(one);
    if (vmid === undefined || short === undefined) return undefined;
    week.before.set(vmid, short);
  }
  return week;
}

type Fields = Readonly<Record<string, unknown>>;

const AT_MAXIMUM = /^[0-9]{3,9}\/(?:cores|memory)$/;

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isAmount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0;

function pairOf<One extends string, Other extends string>(
  saved: unknown,
  one: One,
  other: Other,
): Record<One | Other, number> | undefined {
  if (!isObject(saved)) return undefined;
  const [first, second] = [saved[one], saved[other]];
  if (!isAmount(first) || !isAmount(second)) return undefined;
  return { [one]: first, [other]: second } as Record<One | Other, number>;
}

function toShort(saved: unknown): ShortBefore | undefined {
  if (!isObject(saved) || !isAmount(saved['kills'])) return undefined;
  const { kills, hits } = saved;
  if (hits === undefined || isAmount(hits)) return { kills, hits };
  return undefined;
}
