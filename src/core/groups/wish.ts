import type { Draft, GroupInput, GroupWish } from './draft.ts';
import type { GroupPolicy } from './group-policy.ts';
import { isWarm, type Member, meanLoad } from './members.ts';
import { OUT_KEY, type Step, stepWords } from './step.ts';
import { projectedFits, type Weighed } from './weigh.ts';

/** A wish in place of what the load asks for. The rest of the way is the same for both. */

/** What comes of a wish: a sentence, or the reason without its full stop. */
export type WishAnswer =
  | { readonly ok: true; readonly says: string; readonly step: Step }
  | { readonly ok: false; readonly why: string };

export const wishWords = ({ by }: GroupWish): string => `it was asked for by ${by}`;

/**
 * What there should be by a wish. A member goes only if the load of all is known, and the
 * others could carry it.
 *
 * @param serving all that are in service
 */
export function weighWish(
  wish: GroupWish,
  { policy, now }: GroupInput,
  serving: readonly Member[],
): Weighed {
  const count = serving.length;
  const stay = (reason: string): Weighed => ({ verdict: 'stay', wanted: count, reason });
  if (wish.direction === 'out') {
    return { verdict: 'out', wanted: count + 1, reason: wishWords(wish) };
  }
  if (policy.scaleIn === 'off') return stay('scale_in is off; set it to stop or destroy');
  if (count <= policy.minInstances) return stay('it has as few members as it may');
  const warm = serving.filter((member) => isWarm(member, policy, now.ms));
  const load = meanLoad(warm);
  if (load.readable.length < count) {
    return stay(`the load of ${count - load.readable.length} in service is not known yet`);
  }
  if (!projectedFits(policy, load, count)) {
    return stay('the others could not carry the load, and a step out would follow');
  }
  return { verdict: 'in', wanted: count - 1, reason: wishWords(wish) };
}

/** What hinders a step of that way; all else that is noted has nothing to do with the wish. */
const HINDRANCES: ReadonlySet<string> = new Set([
  'room',
  'source',
  'address',
  'id',
  'maximum',
  'in',
]);

/** How many are wanted, and were just before. */
export interface Wanted {
  readonly weighed: Weighed;
  /** Nobody is on the way in or out. */
  readonly settled: boolean;
  readonly before: number;
}

/** To be called when all steps are drafted. */
export function wishAnswer(
  wish: GroupWish,
  { policy, state, now }: GroupInput,
  { weighed, settled, before }: Wanted,
  { steps, notes }: Draft,
): WishAnswer {
  const no = (why: string): WishAnswer => ({ ok: false, why });
  if (!settled) return no('members are on their way in or out; ask again when that is over');
  if (weighed.verdict === 'stay') return no(weighed.reason);
  const { desired } = state;
  const isMore = wish.direction === 'out';
  if (isMore && desired === before) {
    const isMost = before >= policy.maxInstances;
    return no(isMost ? 'it may have no more members' : `${before} members are wanted already`);
  }
  const step = steps.find(isMore ? makesMore : takesAway);
  const words = `${before} -> ${desired} members`;
  if (step !== undefined) {
    return {
      ok: true,
      step,
      says: `Group ${policy.label}: ${words}, by ${firstWords(step, policy)}.`,
    };
  }
  const why = notes.filter(({ key }) => HINDRANCES.has(key)).map(({ text }) => text);
  const failure = state.failures.get(OUT_KEY);
  if (isMore && failure !== undefined && failure.retryAtMs > now.ms) {
    const seconds = Math.ceil((failure.retryAtMs - now.ms) / 1000);
    why.push(`the last try failed, and the next may begin in ${seconds} s: ${failure.message}`);
  }
  return no(why.length > 0 ? why.join('; ') : 'a step is under way; ask again when that is over');
}

/** What it begins with, without names that nobody knows yet. */
function firstWords(step: Step, { scaleIn }: GroupPolicy): string {
  if (step.kind === 'snapshot') return `cloning container ${step.vmid} from a snapshot`;
  if (step.kind !== 'mark') return stepWords(step);
  if (step.state === 'new') return `starting container ${step.vmid} again`;
  const how = scaleIn === 'destroy' ? 'destroying it' : 'keeping it, stopped';
  return `taking container ${step.vmid} out of service and ${how}`;
}

const makesMore = (step: Step): boolean =>
  step.kind === 'snapshot' ||
  step.kind === 'clone' ||
  (step.kind === 'mark' && step.state === 'new');

const takesAway = (step: Step): boolean => step.kind === 'mark' && step.state === 'leaving';
