import * as z from 'zod/mini';
import type { AskedChange } from '../../core/asked.ts';
import { LONGEST_NAME } from '../../core/guest-words.ts';
import { plainText } from '../../core/plain-text.ts';
import { milliseconds, type Vmid } from '../../core/units.ts';
import type { AskedOutcome } from '../../loop/asked.ts';
import { describe } from '../../loop/log-cycle.ts';
import type { NodeLoop } from '../node-loop.ts';
import {
  askedBy,
  type ChangeAnswer,
  type ChangeQuery,
  changeAnswer,
  changeQuery,
  isAdmin,
  refuseInDryRun,
} from './change-answer.ts';
import { labelOf, loopOf, vmidOf } from './guests.ts';
import { whenItsTurn } from './in-line.ts';
import { HttpProblem } from './problem.ts';
import { rollBack } from './roll-back.ts';
import { type Asked, type Route, route } from './route.ts';

/** What changes something. A change of a guest goes the one way that the loop's own go. */

const force = z.optional(z.boolean());
export const coresField = z.int().check(z.gte(1), z.lte(8192));
const limitField = z.number().check(z.gte(0.1), z.lte(8192), z.multipleOf(0.01));
export const memoryField = z.int().check(z.gte(16), z.lte(16_777_216));

type Wanted = Pick<AskedChange, 'cpu' | 'memoryMib' | 'boostMs' | 'force'>;

/** Has the loop of its node carry out what is wanted for a guest. */
export async function change(
  asked: Asked<ChangeQuery>,
  vmid: Vmid,
  wanted: Wanted,
): Promise<ChangeAnswer> {
  const { service, query } = asked;
  const loop = loopOf(service, vmid, query.node);
  if (wanted.force === true && !isAdmin(asked)) {
    throw new HttpProblem('role', 'force needs the role admin');
  }
  refuseInDryRun(loop.settings.dryRun, query);
  const whole = { vmid, by: askedBy(asked), asAdmin: isAdmin(asked), ...wanted };
  const outcome = await whenItsTurn(asked, loop, () => service.change(loop, whole, query.dry_run));
  if (outcome === undefined) throw new HttpProblem('failed', 'The guests cannot be seen now');
  return answerOf(outcome, vmid, labelOf(loop, vmid));
}

function answerOf(
  { kind, changes, note, backup }: AskedOutcome,
  vmid: Vmid,
  label: string,
): ChangeAnswer {
  const name = plainText(changes[0]?.name ?? '', LONGEST_NAME);
  const who = name === '' ? label : `${label} (${name})`;
  const why = note === undefined ? 'the log says more' : plainText(note);
  switch (kind) {
    case 'refused':
    case 'overtaken':
    case 'unproven':
      throw new HttpProblem('refused', `${who} was not changed: ${why}`);
    case 'failed':
    case 'rolled-back':
    case 'partly':
      throw new HttpProblem('failed', `The change of ${who} failed: ${why}`);
    case 'already':
      return { outcome: kind, vmid, changes: [], says: `${who} has this already.` };
    default: {
      const steps = changes.map((one) => `${one.unit ?? one.resource} ${describe(one)}`).join('. ');
      return {
        outcome: kind,
        vmid,
        changes: changes.map(changeRow),
        says: `${who}: ${steps}.`,
        ...(backup !== undefined && { backup }),
        ...(note !== undefined && { note: why }),
      };
    }
  }
}

const changeRow = ({ resource, unit, measured, after }: AskedOutcome['changes'][number]) => ({
  resource,
  ...(unit !== undefined && { unit }),
  before: measured.before,
  after,
});

const guestChange = <Body>(
  what: string,
  summary: string,
  body: z.ZodMiniType<Body>,
  wantedOf: (body: Body) => Wanted,
): Route =>
  route<typeof changeQuery, z.ZodMiniType<Body>>({
    method: 'POST',
    path: `/api/v1/guests/{id}/${what}`,
    role: 'scale',
    summary,
    query: changeQuery,
    body,
    answer: changeAnswer,
    run: (asked) => change(asked, vmidOf(asked.params), wantedOf(asked.body as Body)),
  });

const boostBody = z.strictObject({
  seconds: z.int().check(z.gte(10), z.lte(86_400)),
  cores: z.optional(coresField),
  cpulimit: z.optional(limitField),
  memory: z.optional(memoryField),
});

function boostOf({ seconds, cores, cpulimit, memory }: z.infer<typeof boostBody>): Wanted {
  if (cores !== undefined && cpulimit !== undefined) {
    throw new HttpProblem('wrong-request', 'cores and cpulimit do not go together');
  }
  if (cores === undefined && cpulimit === undefined && memory === undefined) {
    throw new HttpProblem('wrong-request', 'A boost needs cores, cpulimit or memory');
  }
  const unit = cores === undefined ? 'cpulimit' : 'cores';
  const to = cores ?? cpulimit;
  return { boostMs: seconds * 1000, memoryMib: memory, cpu: to === undefined ? to : { unit, to } };
}

const guestRoutes: readonly Route[] = [
  guestChange(
    'cores',
    'Give a guest so many cores',
    z.strictObject({ cores: coresField, force }),
    ({ cores: to, force: isForced }) => ({ cpu: { unit: 'cores', to }, force: isForced }),
  ),
  guestChange(
    'cpulimit',
    'Give a guest this cpulimit',
    z.strictObject({ cpulimit: limitField, force }),
    ({ cpulimit: to, force: isForced }) => ({ cpu: { unit: 'cpulimit', to }, force: isForced }),
  ),
  guestChange(
    'memory',
    'Give a guest so much memory, in MiB',
    z.strictObject({ memory: memoryField, force }),
    ({ memory, force: isForced }) => ({ memoryMib: memory, force: isForced }),
  ),
  guestChange('boost', 'Give a guest more for a while', boostBody, boostOf),
  route({
    method: 'POST',
    path: '/api/v1/guests/{id}/rollback',
    role: 'scale',
    summary: 'Bring a guest back to a backup: before its last change, if none is named',
    query: changeQuery,
    body: z.strictObject({ to: z.optional(z.string().check(z.maxLength(60))) }),
    answer: changeAnswer,
    run: (asked) => rollBack(asked, vmidOf(asked.params), asked.body.to),
  }),
];

const LONGEST_PAUSE_MINUTES = 30 * 24 * 60;
const pauseAnswer = z.object({ vmid: z.int(), until: z.nullable(z.string()), says: z.string() });

/** The loop leaves the guest alone until then; what was there before does not count any more. */
async function hold(
  asked: Asked<ChangeQuery>,
  minutes: number,
): Promise<z.infer<typeof pauseAnswer>> {
  const { service, params, query } = asked;
  const vmid = vmidOf(params);
  const loop = loopOf(service, vmid, query.node);
  refuseInDryRun(loop.settings.dryRun, query);
  return whenItsTurn(asked, loop, () => holdNow(asked, loop, vmid, minutes));
}

function holdNow(
  asked: Asked<ChangeQuery>,
  loop: NodeLoop,
  vmid: Vmid,
  minutes: number,
): z.infer<typeof pauseAnswer> {
  const { clock, holds, log } = loop.world;
  const who = labelOf(loop, vmid);
  const until = new Date(clock.wallMs() + minutes * 60_000).toISOString();
  const does = minutes > 0 ? `is left alone until ${until}` : 'is looked after again';
  const says = `${who} ${does}, as ${askedBy(asked)} has asked`;
  const answer = { vmid, until: minutes > 0 ? until : null, says: `${says}.` };
  if (asked.query.dry_run) return answer;
  const guest = loop.state.guests.get(vmid)?.identity;
  const untilMs = milliseconds(clock.wallMs() + minutes * 60_000);
  const reason = `it is paused by ${askedBy(asked)}`;
  const written = holds.write(vmid, { untilMs, reason, ...(guest && { guest }) });
  if (!written.ok) throw new HttpProblem('failed', written.message);
  log.info(says, { component: 'http', vmid, event: minutes > 0 ? 'pause' : 'resume' });
  return answer;
}

const pauseRoutes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/api/v1/guests/{id}/pause',
    role: 'scale',
    summary: 'Leave a guest alone for a while',
    query: changeQuery,
    body: z.strictObject({ minutes: z.int().check(z.gte(1), z.lte(LONGEST_PAUSE_MINUTES)) }),
    answer: pauseAnswer,
    run: (asked) => hold(asked, asked.body.minutes),
  }),
  route({
    method: 'POST',
    path: '/api/v1/guests/{id}/resume',
    role: 'scale',
    summary: 'Look after a guest again that was left alone',
    query: changeQuery,
    body: z.strictObject({}),
    answer: pauseAnswer,
    run: (asked) => hold(asked, 0),
  }),
];

const problemRow = z.object({
  line: z.nullable(z.int()),
  key: z.nullable(z.string()),
  message: z.string(),
});

const programRoutes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/api/v1/reload',
    role: 'admin',
    summary: 'Read the configuration again, as SIGHUP does',
    query: changeQuery,
    body: z.strictObject({}),
    answer: z.object({ reloading: z.boolean() }),
    run: ({ service, query }) => {
      if (!query.dry_run) service.reload();
      return { reloading: !query.dry_run };
    },
  }),
  route({
    method: 'POST',
    path: '/api/v1/config/validate',
    role: 'admin',
    summary: 'Say what is wrong with a configuration; nothing is written',
    query: changeQuery,
    body: z.strictObject({ text: z.string() }),
    answer: z.object({
      ok: z.boolean(),
      problems: z.array(problemRow),
      notes: z.array(problemRow),
    }),
    run: ({ service, body }) => {
      const read = service.validate(body.text);
      const found = (read.ok ? read.notes : read.problems).map(({ line, key, message }) => ({
        line: line ?? null,
        key: key ?? null,
        message,
      }));
      const [problems, notes] = read.ok ? [[], found] : [found, []];
      return { ok: read.ok, problems, notes };
    },
  }),
];

export const changeRoutes: readonly Route[] = [...guestRoutes, ...pauseRoutes, ...programRoutes];
