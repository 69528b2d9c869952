import * as z from 'zod/mini';
import type { Target } from '../../config/edit-mode.ts';
import type { Step } from '../../core/report/would.ts';
import type { ModeSwitch } from '../mode-switch.ts';
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
  const change = service.modeSwitch(isActive ? 'act' : 'observe', target);
  const name = body.tier ?? 'Everything';
  const mode = isActive ? 'active' : 'observed only';
  if (change.kind === 'already') return { says: `${name} is ${mode} already.`, diff: [] };
  if (change.kind !== 'edited') {
    const why = whyNot(change);
    throw new HttpProblem('refused', `${change.path} was not changed: ${why}`);
  }
  const shared = change.isShared ? OTHERS_FOLLOW : '';
  const says = `${name} -> ${mode}.${isActive ? atOnce(service, body.tier) : ''}${shared}`;
  const answer = { says, diff: [...change.lines] };
  if (query.dry_run) return answer;
  const written = service.writeConfiguration(change.path, change.text);
  if (!written.ok) {
    const command = `lxc-autoscale ${isActive ? 'activate' : 'observe'} ${body.tier ?? ''}`.trim();
    throw new HttpProblem('failed', `${written.message}; run on the node: ${command}`);
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

const OTHERS_FOLLOW =
  ' All nodes of the cluster share this file: the others follow at their next look, and what ' +
  'would change there is not counted here.';

function whyNot(change: Exclude<ModeSwitch, { kind: 'edited' | 'already' }>): string {
  if (change.kind === 'refused') return change.why;
  const what = change.kind === 'broken' ? 'it has problems' : 'it cannot be read';
  return `${what}; run on the node: lxc-autoscale check-config`;
}

function refuseUnknown(service: HttpService, tier: string): void {
  const names = service.nodes()[0].config.tiers.map(({ name }) => name);
  if (names.includes(tier)) return;
  const known =
    names.length === 0 ? 'the configuration has no tiers' : `there are ${names.join(', ')}`;
  throw new HttpProblem('wrong-request', `There is no tier ${tier}; ${known}`);
}

/** What observing leaves out now, of a tier or of all of them. */
function atOnce(service: HttpService, tier: string | undefined): string {
  const all = service
    .nodes()
    .flatMap(({ open, view }) =>
      view === undefined ? [] : statusOf(service, open.name).containers,
    );
  const meant = all.filter(
    ({ policy, mode }) => mode === 'observe' && (tier === undefined || policy === tier),
  );
  const changed = meant.flatMap(({ vmid, name, would }) =>
    would === null ? [] : [`${vmid} (${name}): ${wouldWords(would)}`],
  );
  const more = changed.length - MOST_NAMED;
  const named = changed.slice(0, MOST_NAMED).join('; ');
  const rest = more > 0 ? `; and ${more} more` : '';
  const words = changed.length === 0 ? '' : `: ${named}${rest}`;
  return ` ${changed.length} of ${meant.length} observed guests would change at once${words}.`;
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
