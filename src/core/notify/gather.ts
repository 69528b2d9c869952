import type { Resource } from '../allocation.ts';
import type { Hold, HoldReason } from '../decision.ts';
import { explainHold, withUnit } from '../explain.ts';
import { firstOf } from '../first-of.ts';
import { guestLabel, kindOf } from '../guest-words.ts';
import type { ChangeDetails, ChangeEvent, GroupEvent, JournalEvent } from '../journal-event.ts';
import type { Milliseconds } from '../units.ts';
import type { NotificationEvent } from './event.ts';

/** Which events there are in what a cycle does and sees. */

/** The message that an event stands for; undefined if it is for the log only. */
export function eventOf(event: JournalEvent): NotificationEvent | undefined {
  if (event.kind === 'change') return ofChange(event);
  return event.kind === 'group' ? ofGroup(event) : undefined;
}

function ofChange({ vmid, resource, details }: ChangeEvent): NotificationEvent | undefined {
  const who = `${guestLabel({ vmid, ...kindOf(details) })}${named(details.name)}`;
  const what = `${who}: ${changeWords(resource, details)}${sentence(details.reason, ', since ')}`;
  switch (details.status) {
    case 'confirmed':
    case 'pending':
      return { kind: 'changed', severity: 'info', text: `${what}.` };
    case 'failed':
    case 'partly':
    case 'rolled-back': {
      const how = HOW[details.status];
      const text = `${how}. ${what}${sentence(details.note, '. ')}`;
      return { kind: 'failed', severity: 'error', text };
    }
    default:
      return undefined;
  }
}

const HOW = { failed: 'FAILED', partly: 'PARTLY', 'rolled-back': 'ROLLED BACK' } as const;

function ofGroup({ vmid, direction, details }: GroupEvent): NotificationEvent | undefined {
  const who = `Group${sentence(details.group, ' ')}`;
  switch (details.status) {
    case 'failed': {
      const failed = `${who}: FAILED to scale ${direction} (container ${vmid})`;
      const text = `${failed}${sentence(details.message, ': ')}`;
      return { kind: 'failed', severity: 'error', text };
    }
    case 'confirmed': {
      const how = direction === 'out' ? 'has come to it' : 'is taken out of it';
      const why = sentence(details.reason, ', since ');
      return { kind: 'group', severity: 'info', text: `${who}: container ${vmid} ${how}${why}.` };
    }
    default:
      return undefined;
  }
}

const named = (name: unknown): string => (typeof name === 'string' ? ` (${name})` : '');
const sentence = (text: unknown, before: string): string =>
  typeof text === 'string' && text !== '' ? `${before}${text}` : '';

function changeWords(resource: Resource, { before, after, unit }: ChangeDetails): string {
  const what = unit ?? resource;
  if (typeof before !== 'number' || typeof after !== 'number') return what;
  return `${what} ${Math.round(before * 100) / 100} -> ${withUnit(resource, after)}`;
}

/** What is wrong as long as it lasts, by a name for it. */
export type Conditions = ReadonlyMap<string, NotificationEvent>;

/** How many of those that wait are named. */
const MOST_NAMED = 5;

/** What a whole cycle saw that holds on until it is over. */
export function conditionsIn(
  held: readonly Hold[],
  host: {
    readonly coresRefused: HoldReason | undefined;
    readonly memoryRefused: HoldReason | undefined;
  },
): Conditions {
  const found = new Map<string, NotificationEvent>();
  const share = (of: number): number => Math.round(of * 1000) / 10;
  if (host.memoryRefused?.kind === 'host-emergency') {
    const used = `${share(host.memoryRefused.share)} % of the host's memory is in use`;
    const text = `Host emergency: ${used}, so no container gets more memory.`;
    found.set('host/memory', { kind: 'emergency', severity: 'error', text });
  }
  const waiting = held.filter(({ because }) => because.kind === 'host-busy');
  if (host.coresRefused?.kind === 'host-busy' && waiting.length > 0) {
    const busy = `The host's CPUs are ${share(host.coresRefused.share)} % busy`;
    const names = waiting.map(({ vmid, name }) => `${vmid} (${name})`);
    const some = firstOf(names, MOST_NAMED);
    const text = `${busy}. These containers wait for more cores: ${some}.`;
    found.set('host/cpu', { kind: 'starving', severity: 'warning', text });
  }
  for (const hold of held) {
    const { vmid, name, resource } = hold;
    if (hold.because.kind !== 'at-maximum') continue;
    const text = `${guestLabel(hold)} (${name}), ${resource}: ${explainHold(hold)}.`;
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
export function begun(
  said: Said,
  now: Conditions,
  nowMs: Milliseconds,
): readonly NotificationEvent[] {
  const events: NotificationEvent[] = [];
  for (const [name, lastMs] of said) if (nowMs - lastMs >= SAID_FOR_MS) said.delete(name);
  for (const [name, event] of now) {
    if (!said.has(name)) events.push(event);
    if (said.has(name) || said.size < MAX_SAID) said.set(name, nowMs);
  }
  return events;
}
