import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Vmid } from '../../core/units.ts';
import { type Advised, advised, advisedJson, tierLines } from '../../lab/advised.ts';
import { type Bounds, boundsOfHost } from '../../lab/demand.ts';
import { recommendationOf } from '../../lab/recommend.ts';
import { RecordedDemand } from '../../lab/recorded-demand.ts';
import type { ProcessContext } from '../context.ts';
import type { NodeLoop } from '../node-loop.ts';
import { HttpProblem } from './problem.ts';
import type { HttpService } from './service.ts';
import { ownUsage } from './usage.ts';

/**
 * What each guest should have for good, by its recorded usage. Worked out when somebody asks, a
 * guest at a time so that cycles come in between, and kept for a while.
 */

const HOURS = 14 * 24;
/** They take 100 MB while it is worked out, if all have a record of all days. */
const MOST_GUESTS = 1000;
/** The history gets new lines that often. */
const KEPT_MS = 15 * 60_000;

interface Kept {
  readonly atMs: number;
  readonly config: NodeLoop['config'];
  readonly worked: Promise<Worked>;
}

interface Worked {
  readonly rows: readonly Advised[];
  /** How many guests there are besides, for whom nothing was worked out. */
  readonly leftOut: number;
}

const kept = new WeakMap<NodeLoop, Kept>();

/** Whoever asks meanwhile waits for the same work. */
function workedOut(loop: NodeLoop, context: ProcessContext): Promise<Worked> {
  const nowMs = context.clock.monotonicMs();
  const known = kept.get(loop);
  if (known?.config === loop.config && nowMs - known.atMs < KEPT_MS) return known.worked;
  const worked = workOut(loop, context);
  kept.set(loop, { atMs: nowMs, config: loop.config, worked });
  worked.catch(() => kept.delete(loop));
  return worked;
}

async function workOut(loop: NodeLoop, context: ProcessContext): Promise<Worked> {
  const bounds = hostBounds(loop);
  const recorded = new RecordedDemand(MOST_GUESTS);
  const gone = new AbortController().signal;
  for await (const record of ownUsage({ context, loop, hours: HOURS, gone })) {
    recorded.take(record);
  }
  const { had } = recorded;
  const rows: Advised[] = [];
  for (const demand of recorded.finish()) {
    await nextTurn();
    rows.push(advised(recommendationOf(demand, bounds), had.get(demand.name)));
  }
  return { rows, leftOut: recorded.leftOut };
}

function hostBounds({ view }: NodeLoop): Bounds {
  const { cpus, memory } = view?.observed.host ?? {};
  if (cpus?.ok && memory?.ok) return boundsOfHost(cpus.value, memory.value.totalMib);
  throw new HttpProblem('starting', 'What the host has was not seen yet; please ask again');
}

/** What is recommended, and the lines that would bring it into the configuration. */
export async function recommendations(service: HttpService, loop: NodeLoop): Promise<object> {
  const { rows, leftOut } = await workedOut(loop, service.context);
  const found = proposal(service, loop, rows);
  const besides =
    leftOut === 0 ? '' : ` Left out: ${leftOut} guests beyond the first ${MOST_GUESTS}.`;
  return { containers: rows.map(advisedJson), ...found, note: `${found.note}${besides}` };
}

/**
 * Tiers for those that none has yet, as a patch that only adds lines at the end. No line of the
 * file is in it, since one may have a secret.
 */
function proposal(
  service: HttpService,
  loop: NodeLoop,
  rows: readonly Advised[],
): { readonly diff: string | null; readonly left: readonly number[]; readonly note: string } {
  const isFree = freeGuests(loop);
  const free = rows.filter(({ advice }) => isFree(Number(advice.name)));
  const left = rows.map(({ advice }) => Number(advice.name)).filter((vmid) => !isFree(vmid));
  const no = (note: string) => ({ diff: null, left, note });
  if (rows.length === 0) return no('Too little is recorded yet. Please look again in some hours.');
  if (free.length === 0)
    return no('No guest with a record is a container that only DEFAULT is about.');
  const file = service.configuration();
  if (!file.ok) return no(`The configuration cannot be read: ${file.message}`);
  const taken = new Set(loop.config.tiers.map(({ name }) => name));
  const lines = ['', ...tierLines(free, taken)];
  const { path, text } = file;
  const whole = `${text.replace(/\n*$/, '\n')}${lines.join('\n')}\n`;
  if (!service.validate(whole).ok) {
    return no('These tiers cannot be added at the end of the file as it is.');
  }
  const end = text.replace(/\n*$/, '\n').split('\n').length - 1;
  const head = [`--- ${path}`, `+++ ${path}`, `@@ -${end},0 +${end + 1},${lines.length} @@`];
  const diff = [...head, ...lines.map((line) => `+${line}`), ''].join('\n');
  return {
    diff,
    left,
    note: 'To apply it: (cd / && patch -p0) < FILE, then lxc-autoscale check-config.',
  };
}

/** Those that only DEFAULT is about: others would lose what their tier says. */
function freeGuests({ view, settings }: NodeLoop): (vmid: number) => boolean {
  const free = new Set<Vmid>();
  for (const { vmid, config } of view?.observed.containers ?? []) {
    if (!config.ok || config.value.kind === 'qemu') continue;
    const management = settings.manage(config.value);
    if (management.kind === 'managed' && management.policy.source === 'DEFAULT') free.add(vmid);
  }
  return (vmid) => free.has(vmid as Vmid);
}
