import type { Resource } from '../allocation.ts';
import type { Decision, HoldReason, Skip, SkipReason } from '../decision.ts';
import { explainChange, explainHold, explainSkip, withUnit } from '../explain.ts';
import { kindOf, LONGEST_NAME, unreadName } from '../guest-words.ts';
import type { ContainerObservation } from '../observation.ts';
import { plainText } from '../plain-text.ts';
import type { Vmid } from '../units.ts';
import { secondsOf, short } from './fact.ts';
import { aged, type CourseOf, isDryRun, type ReportInput, skipOf } from './report-input.ts';
import { isMeasuring, type Step, stepLeftOut, type WouldRow } from './would.ts';

/** What holds a container now, and what would be changed of it: in words, for `status`. */

export const LEFT_BEHIND = 'stopped (cgroup left behind)';

export function nameOf(container: ContainerObservation): string {
  const { config } = container;
  return config.ok ? plainText(config.value.name, LONGEST_NAME) : unreadName(container);
}

/** To be spread into what is said of it. */
export const kindIn = (container: ContainerObservation): ReturnType<typeof kindOf> =>
  kindOf(container.config.ok ? container.config.value : container);

/** What holds it now: in two or three words, and in sentences. */
export interface Now {
  readonly brief: string;
  readonly says: string;
}

/** `17:37`: when the next cycle is due. */
export function nextTime({ nextMs, localTime }: ReportInput): string | undefined {
  return nextMs === undefined ? undefined : localTime(nextMs).slice(11, 16);
}

const RESOURCES: readonly Resource[] = ['cores', 'memory'];
const SPOKEN: Readonly<Record<Resource, string>> = { cores: 'CPU', memory: 'Memory' };
const BRIEF: Readonly<Record<Resource, string>> = { cores: 'cpu', memory: 'mem' };

export function wouldOf(vmid: Vmid, input: ReportInput, courseOf: CourseOf): WouldRow | null {
  const stepOf = (resource: Resource): Step | null => {
    const { planned } = courseOf(vmid, resource);
    return (planned && stepLeftOut(planned, isDryRun(input))) ?? null;
  };
  const would = { cores: stepOf('cores'), memoryMib: stepOf('memory') };
  return would.cores === null && would.memoryMib === null ? null : would;
}

export function nowOf(
  container: ContainerObservation,
  input: ReportInput,
  courseOf: CourseOf,
): Now {
  const skip = skipOf(input, container.vmid, nameOf(container));
  if (skip !== undefined)
    return { brief: briefSkip(skip), says: `${plainText(explainSkip(skip))}.` };
  const parts = RESOURCES.flatMap((resource) => {
    const { planned } = courseOf(container.vmid, resource);
    return planned === undefined ? [] : [nowOfResource(planned, input)];
  });
  const briefs = parts.flatMap(({ brief }) => (brief === '' ? [] : [brief]));
  const would = parts.flatMap((part) => part.would ?? []);
  if (would.length > 0) briefs.unshift(`would: ${would.join(', ')}`);
  return {
    brief: briefs.length > 0 ? briefs.join(', ') : 'in band',
    says: parts.map(({ says }) => says).join(' '),
  };
}

interface NowOfResource extends Now {
  /** The change that observe mode or a dry run leaves out: `cpu 6>1`. */
  readonly would?: string;
}

function nowOfResource(planned: Decision, input: ReportInput): NowOfResource {
  const { resource, vmid } = planned;
  const leftOut = stepLeftOut(planned, isDryRun(input));
  const would = leftOut && `${BRIEF[resource]} ${leftOut.from}>${leftOut.to}`;
  if (planned.verdict !== 'hold') {
    const { measured, after } = planned;
    const step = `${short(measured.before)} -> ${withUnit(resource, after)}`;
    const pending =
      resource === 'cores' && input.state.guests.get(vmid)?.life.pendingCores !== undefined;
    const says = `${SPOKEN[resource]}: ${step}, since ${explainChange(planned)}.`;
    const grew = planned.verdict === 'grow' ? 'more' : 'less';
    if (would !== undefined) return { brief: '', says: `${says} A dry run leaves it out.`, would };
    return {
      brief: `${BRIEF[resource]} ${pending ? 'not active yet' : grew}`,
      says: pending ? `${says} It is not active yet.` : says,
    };
  }
  const because = aged(planned.because, input.nowMs - input.atMs);
  const says = `${SPOKEN[resource]}: ${plainText(explainHold({ ...planned, because }))}.`;
  if (would !== undefined) return { brief: '', says, would };
  if (because.kind === 'in-band') return { brief: '', says };
  const at = isMeasuring(planned) ? nextTime(input) : undefined;
  if (at === undefined) return { brief: `${BRIEF[resource]} ${briefly(because)}`, says };
  return {
    brief: `${BRIEF[resource]} measuring, ${at}`,
    says: `${SPOKEN[resource]}: measuring, first figure at ${at}.`,
  };
}

const briefSkip = ({ because }: Skip): string => briefly(because);

/** Kinds are part of the JSON form. What people read of these has other words. */
const KINDS_IN_WORDS: Readonly<Record<string, string>> = {
  'held-by-hand': 'on hold',
  'not-in-force': 'not active yet',
};

/** The name of a reason as words, with the time left if it has an end. */
function briefly(because: HoldReason | SkipReason): string {
  const words = KINDS_IN_WORDS[because.kind] ?? because.kind.replaceAll('-', ' ');
  if (because.kind === 'stopped') return because.leftBehind ? LEFT_BEHIND : words;
  if (because.kind === 'missing' && because.reading.why === 'first-sample') return 'measuring';
  if ('leftMs' in because) return `${words} ${span(because.leftMs)}`;
  if ('retryInMs' in because) return `${words} ${span(because.retryInMs)}`;
  if (because.kind === 'locked') return `${words} (${plainText(because.lock, 40)})`;
  if (because.kind === 'too-few-observations') return `${because.have} of ${because.want} samples`;
  return words;
}

/** `45 s`, `12 min`, `5 h`: enough for a table. */
function span(ms: number): string {
  const seconds = secondsOf(ms);
  if (seconds < 300) return `${seconds} s`;
  return seconds < 18_000 ? `${Math.ceil(seconds / 60)} min` : `${Math.ceil(seconds / 3600)} h`;
}
