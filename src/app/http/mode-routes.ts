import * as z from 'zod/mini';
import type { Target } from '../../config/edit-mode.ts';
import { renderProblem } from '../../config/problem.ts';
import { firstOf } from '../../core/first-of.ts';
import type { Step } from '../../core/report/would.ts';
import type { CountingFile } from '../configuration.ts';
import type { AfterSwitch, ModeSwitch } from '../mode-switch.ts';
import { askedBy, type ChangeQuery, changeQuery, refuseInDryRun } from './change-answer.ts';
import { statusOf } from './guests.ts';
import { HttpProblem } from './problem.ts';
import { type Asked, type Route, route } from './route.ts';
import type { HttpService } from './service.ts';

/** From observing to acting and back, tier by tier, with what would be changed at once. */

const modeBody = z.strictObject({
  mode: z.enum(['active', 'observe']),
  tier: z.optional(z.string().check(z.maxLength(80))),
});
const modeAnswer = z.object({
  says: z.string(),
  /** The lines of the configuration that are changed, `- ` before and `+ ` after. */
  diff: z.array(z.string()),
  note: z.optional(z.string()),
});
type ModeAnswer = z.infer<typeof modeAnswer>;

const MOST_NAMED = 10;

function switchMode(asked: Asked<ChangeQuery, z.infer<typeof modeBody>>): ModeAnswer {
  const { service, query, body } = asked;
  refuseInDryRun(service.nodes()[0].settings.dryRun, query);
  const target: Target =
    body.tier === undefined ? { kind: 'all' } : { kind: 'section', name: body.tier };
  if (body.tier !== undefined) refuseUnknown(service, body.tier);
  const isActive = body.mode === 'active';
  const switched = isActive ? 'act' : 'observe';
  const change = service.modeSwitch(switched, target);
  const { file } = change;
  const name = body.tier ?? 'Everything';
  const mode = isActive ? 'active' : 'observed only';
  if (change.kind !== 'edited' && change.kind !== 'already') {
    throw new HttpProblem('refused', `${file.shown} was not changed: ${whyNot(change)}`);
  }
  const after = service.afterSwitch(change.config, switched, target);
  if (change.kind === 'already') {
    return { says: [`${name} is ${mode} already.`, ...after.exceptions].join(' '), diff: [] };
  }
  const now = isActive ? [atOnce(service, after), ...after.exceptions] : [];
  const says = [`${name} -> ${mode}.`, ...now, ...change.besides].join(' ');
  const answer = { says, diff: [...change.lines] };
  if (query.dry_run) return answer;
  const written = service.writeConfiguration(file.path, change.text);
  if (!written.ok) {
    const tier = body.tier === undefined ? '' : ` ${body.tier}`;
    const words = `${isActive ? 'activate' : 'observe'}${tier}${file.option}`;
    throw new HttpProblem('failed', `${written.message}; run on the node: lxc-autoscale ${words}`);
  }
  const { log } = service.nodes()[0].world;
  log.info(`${name} is ${mode}, as ${askedBy(asked)} has asked`, { component: 'http' });
  service.reload();
  const { backup } = written;
  return {
    ...answer,
    ...(backup !== undefined && { note: `What was there is kept as ${backup}` }),
  };
}

type NoSwitch = Exclude<ModeSwitch, { kind: 'edited' | 'already' }>;

function whyNot(change: NoSwitch & { readonly file: CountingFile }): string {
  if (change.kind === 'refused') return change.why;
  const all = change.kind === 'broken' ? change.problems.problems : [];
  const [first] = all;
  const others = all.length < 2 ? '' : ` (and ${all.length - 1} more)`;
  const what = first === undefined ? 'it cannot be read' : `${renderProblem(first)}${others}`;
  return `${what}; run on the node: lxc-autoscale check-config${change.file.option}`;
}

function refuseUnknown(service: HttpService, tier: string): void {
  const names = service.nodes()[0].config.tiers.map(({ name }) => name);
  if (names.includes(tier)) return;
  const known =
    names.length === 0 ? 'the configuration has no tiers' : `there are ${names.join(', ')}`;
  throw new HttpProblem('wrong-request', `There is no tier ${tier}; ${known}`);
}

/** What observing leaves out now, of those that it leaves then. */
function atOnce(service: HttpService, { active }: AfterSwitch): string {
  const meant = [...active].flatMap(([node, vmids]) =>
    statusOf(service, node).containers.filter(
      ({ vmid, mode }) => mode === 'observe' && vmids.has(vmid),
    ),
  );
  const changed = meant.flatMap(({ vmid, name, would }) =>
    would === null ? [] : [`${vmid} (${name}): ${wouldWords(would)}`],
  );
  const words = changed.length === 0 ? '' : `: ${firstOf(changed, MOST_NAMED, '; ')}`;
  return `${changed.length} of ${meant.length} observed guests would change at once${words}.`;
}

function wouldWords({
  cores,
  memoryMib,
}: {
  readonly cores: Step | null;
  readonly memoryMib: Step | null;
}): string {
  const of = (step: Step | null, what: string, unit: string): string[] =>
    step === null ? [] : [`${what} ${step.from} -> ${step.to}${unit}`];
  return [...of(cores, 'CPU', ' cores'), ...of(memoryMib, 'memory', ' MB')].join(', ');
}

export const modeRoutes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/api/v1/config/mode',
    role: 'admin',
    summary: 'Make a tier, or everything, active or only observed: the configuration is edited',
    query: changeQuery,
    body: modeBody,
    answer: modeAnswer,
    run: switchMode,
  }),
];
