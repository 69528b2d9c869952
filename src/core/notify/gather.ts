import type { Hold, HoldReason } from '../decision.ts';
import { explainHold, withUnit } from '../explain.ts';
import type { Milliseconds } from '../units.ts';
import type { NoticeEvent } from './event.ts';

/** Which events there are in what a cycle does and sees. */

/** A line of the JSON log, as far as a message needs it. */
export interface Recorded {
  readonly vmid: number;
  readonly action: string;
  readonly details: Readonly<Record<string, unknown>>;
}

const CHANGE = /^(?:Increase|Decrease) (Cores|Memory)( Failed| Rolled Back)?$/;
const GROUP = /^Scale (Out|In)( Failed)?$/;

/** The event that a line of the JSON log stands for; undefined where it is for the log only. */
export function eventOf({ vmid, action, details }: Recorded): NoticeEvent | undefined {
  const change = CHANGE.exec(action);
  if (change !== null) {
    const what = changeWords(change[1] === 'Cores' ? 'cores' : 'memory', details);
    const who = `Container ${vmid}${named(details['name'])}`;
    const why = sentence(details['reason'], ', since ');
    if (change[2] === undefined) {
      return { kind: 'changed', severity: 'info', text: `${who}: ${what}${why}.` };
    }
    const how = change[2] === ' Failed' ? 'FAILED' : 'ROLLED BACK';
    const note = sentence(details['note'], '. ');
    return { kind: 'failed', severity: 'error', text: `${how}. ${who}: ${what}${why}${note}` };
  }
  const group = GROUP.exec(action);
  if (group === null) return undefined;
  const who = `Group${sentence(details['group'], ' ')}`;
  if (group[2] !== undefined) {
    const failed = `${who}: FAILED to scale ${group[1] === 'Out' ? 'out' : 'in'}`;
    const why = sentence(details['message'], ': ');
    return { kind: 'failed', severity: 'error', text: `${failed} (container ${vmid})${why}` };
  }
  const how = group[1] === 'Out' ? 'has come to it' : 'is taken out of it';
  const why = sentence(details['reason'], ', since ');
  return { kind: 'group', severity: 'info', text: `${who}: container ${vmid} ${how}${why}.` };
}

const named = (name: unknown): string => (typeof name === 'string' ? ` (${name})` : '');
const sentence = (text: unknown, before: string): string =>
  typeof text === 'string' && text !== '' ? `${before}${text}` : '';

function changeWords(
  resource: 'cores' | 'memory',
  { before, after, unit }: Recorded['details'],
): string {
  const what = typeof unit === 'string' ? unit : resource;
  if (typeof before !== 'number' || typeof after !== 'number') return what;
  return `${what} ${Math.round(before * 100) / 100} -> ${withUnit(resource, after)}`;
}

/** What is wrong as long as it lasts, by a name for it. */
export type Conditions = ReadonlyMap<string, NoticeEvent>;

/** So many of those that wait are named. */
const MOST_NAMED = 5;

/** What a whole cycle saw that holds on until it is over. */
export function conditionsIn(
  held: readonly Hold[],
  host: {
    readonly coresRefused: HoldReason | undefined;
    readonly memoryRefused: HoldReason | undefined;
  },
): Conditions {
  const found = new Map<string, NoticeEvent>();
  const share = (of: number): number => Math.round(of * 1000) / 10;
  if (host.memoryRefused?.kind === 'host-emergency') {
    const used = `${share(host.memoryRefused.share)} % of the host's memory is in use`;
    const text = `Host emergency: ${used}, so no container gets more memory.`;
    found.set('host/memory', { kind: 'emergency', severity: 'error', text });
  }
  const waiting = held.filter(({ because }) => because.kind === 'host-busy');
  if (host.coresRefused?.kind === 'host-busy' && waiting.length > 0) {
    const busy = `The host's CPUs are ${share(host.coresRefused.share)} % busy`;
    const some = waiting.slice(0, MOST_NAMED).map(({ vmid, name }) => `${vmid} (${name})`);
    const others = waiting.length - some.length;
    const more = others > 0 ? `, and ${others} more` : '';
    const text = `${busy}. These containers wait for more cores: ${some.join(', ')}${more}.`;
    found.set('host/cpu', { kind: 'starving', severity: 'warning', text });
  }
  for (const hold of held) {
    const { vmid, name, resource } = hold;
    if (hold.because.kind !== 'at-maximum') continue;
    const text = `Container ${vmid} (${name}), ${resource}: ${explainHold(hold)}.`;
    found.set(`${vmid}/${resource}`, { kind: 'starving', severity: 'warning', text });
  }
  return found;
}

/** Something that comes and goes is not said again sooner. */
const SAID_FOR_MS = 3_600_000;
/** More than that many are never at hand; this only bounds what a long life gathers. */
const MAX_SAID = 10_000;

/** What has been said of conditions, by their names: when it was last seen to hold. */
export type Said = Map<string, Milliseconds>;

/** The conditions that have begun, or begun again after a while. Remembers them as said. */
export function begun(said: Said, now: Conditions, nowMs: Milliseconds): readonly NoticeEvent[] {
  const events: NoticeEvent[] = [];
  for (const [name, lastMs] of said) if (nowMs - lastMs >= SAID_FOR_MS) said.delete(name);
  for (const [name, event] of now) {
    if (!said.has(name)) events.push(event);
    if (said.has(name) || said.size < MAX_SAID) said.set(name, nowMs);
  }
  return events;
}
