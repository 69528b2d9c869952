import { join } from 'node:path/posix';
import * as z from 'zod/mini';
import { backupsOfGuest } from '../../core/own-values.ts';
import { plainText } from '../../core/plain-text.ts';
import { parseSince, sinceText } from '../../core/report/since.ts';
import { parseVmid } from '../../core/units.ts';
import { createTimestamp } from '../../os/timestamp.ts';
import { listBackups } from '../../store/backup-list.ts';
import { type DaemonState, foundOf, groupsOf } from '../control-answer.ts';
import type { Access } from './access.ts';
import type { LiveEvents } from './events.ts';
import { accountOf, answerOf, loopOf, nodeNamed, rowOf, statusOf, vmidOf } from './guests.ts';
import { stayOn } from './in-line.ts';
import { journalEvents } from './journal-events.ts';
import { maskedConfig } from './masked.ts';
import { HttpProblem } from './problem.ts';
import { recommendations } from './recommendations.ts';
import { type Asked, numberInText, type Route, route } from './route.ts';
import { guestUsage, usageOfAll } from './usage.ts';

/** What only looks. The reports are those of the commands `status`, `explain` and `history`. */

const ofNode = z.strictObject({ node: z.optional(z.string()) });
const rows = z.record(z.string(), z.unknown());

const guestRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/v1/status',
    role: 'read',
    summary: 'The node and all guests, as `lxc-autoscale status --json` has them',
    query: ofNode,
    run: ({ service, query }) => statusOf(service, query.node),
  }),
  route({
    method: 'GET',
    path: '/api/v1/nodes',
    role: 'read',
    summary: 'The nodes that this daemon looks after',
    answer: z.object({ nodes: z.array(rows) }),
    run: ({ service }) => ({
      nodes: service.nodes().map((loop, place) => nodeRow(loop, place, service.known())),
    }),
  }),
  route({
    method: 'GET',
    path: '/api/v1/guests',
    role: 'read',
    summary: 'All guests of a node',
    query: ofNode,
    answer: z.object({ guests: z.array(rows) }),
    run: ({ service, query }) => ({ guests: statusOf(service, query.node).containers }),
  }),
  route({
    method: 'GET',
    path: '/api/v1/guests/{id}',
    role: 'read',
    summary: 'One guest',
    query: ofNode,
    run: ({ service, params, query }) => rowOf(service, vmidOf(params), query.node),
  }),
  route({
    method: 'GET',
    path: '/api/v1/guests/{id}/explain',
    role: 'read',
    summary: 'The last decision on a guest, as `lxc-autoscale explain --json` has it',
    query: ofNode,
    run: ({ service, params, query }) => accountOf(service, vmidOf(params), query.node),
  }),
  route({
    method: 'GET',
    path: '/api/v1/guests/{id}/usage',
    role: 'read',
    summary: 'What a guest has used',
    query: z.strictObject({ node: z.optional(z.string()), hours: numberInText(1, 336, 24) }),
    run: ({ service, params, query, stay, request: { signal: gone } }) => {
      const vmid = vmidOf(params);
      const loop = loopOf(service, vmid, query.node);
      stayOn(stay);
      return guestUsage({ context: service.context, loop, hours: query.hours, gone }, vmid);
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/guests/{id}/backups',
    role: 'read',
    summary: 'The copies of the configuration of a guest, the newest first',
    query: ofNode,
    answer: z.object({ backups: z.array(rows) }),
    run: (asked) => ({ backups: backupRows(asked) }),
  }),
];

const nodeRow = (
  { open, view, settings, state }: ReturnType<typeof loopOf>,
  place: number,
  known: readonly DaemonState[],
) => ({
  node: open.name,
  home: place === 0,
  cycle: view?.cycle ?? null,
  guests: view?.observed.containers.length ?? null,
  paused: state.pause?.why ?? null,
  dryRun: settings.dryRun,
  ...foundOf(known.find(({ node }) => node === open.name) ?? {}),
});

function backupRows({ service, params, query }: Asked<z.infer<typeof ofNode>>): object[] {
  const vmid = vmidOf(params);
  const { open, config, state } = loopOf(service, vmid, query.node);
  const directory = join(service.context.paths.at(config.backupDir), open.below);
  const listing = listBackups(directory, vmid);
  if (!listing.ok) throw new HttpProblem('failed', listing.detail);
  const localTime = createTimestamp(config.timezone);
  const { backups } = listing.value;
  const own = new Set(backupsOfGuest(state.guests.get(vmid)?.identity, backups));
  return backups.map((backup) => {
    const { id, takenAtMs, config: then, madeFor } = backup;
    const values = then.ok ? then.value : undefined;
    return {
      vmid,
      id,
      time: localTime(takenAtMs),
      takenAt: new Date(takenAtMs).toISOString(),
      cores: values?.cores ?? null,
      cpuLimit: values?.cpuLimit ?? null,
      memoryMib: values?.memoryMib ?? null,
      usable: then.ok,
      sameGuest: own.has(backup),
      madeFor: madeFor.ok ? plainText(madeFor.value.reason) : null,
    };
  });
}

const historyQuery = z.strictObject({
  node: z.optional(z.string()),
  guest: z.optional(z.string()),
  since: z.optional(z.string().check(z.maxLength(40))),
  limit: numberInText(1, 5000, 500),
});

async function history({
  service,
  query,
  request,
}: Asked<z.infer<typeof historyQuery>>): Promise<object> {
  const { context } = service;
  const [{ config }] = service.nodes();
  const { node, guest, since, limit } = query;
  const vmid = guest === undefined ? undefined : parseVmid(guest);
  if (guest !== undefined && vmid === undefined) {
    throw new HttpProblem('wrong-request', 'guest is no id of a guest');
  }
  const parsed = since === undefined ? undefined : parseSince(since);
  if (since !== undefined && parsed === undefined) {
    throw new HttpProblem('wrong-request', 'since is no time such as 24h, today or 2026-11-21');
  }
  const localTime = createTimestamp(config.timezone);
  const from = parsed && sinceText(parsed, context.clock.wallMs(), localTime);
  const file = context.paths.at(config.jsonLogFile);
  return journalEvents({ file, vmid, node, from, most: limit, gone: request.signal });
}

const programRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/v1/history',
    role: 'read',
    summary: 'What was done, as `lxc-autoscale history --json` has it, the newest first',
    query: historyQuery,
    answer: z.object({ events: z.array(rows), more: z.boolean() }),
    run: history,
  }),
  route({
    method: 'GET',
    path: '/api/v1/usage',
    role: 'read',
    summary: 'What all guests have used, in few points',
    query: z.strictObject({
      node: z.optional(z.string()),
      hours: numberInText(1, 336, 24),
      points: numberInText(1, 500, 48),
    }),
    run: ({ service, query: { node, hours, points }, stay, request: { signal: gone } }) => {
      const loop = nodeNamed(service, node);
      stayOn(stay);
      return usageOfAll({ context: service.context, loop, hours, gone }, points);
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/groups',
    role: 'read',
    summary: 'All groups',
    answer: z.object({ groups: z.array(rows) }),
    run: ({ service }) => ({ groups: groupsOf(service.known()) }),
  }),
  route({
    method: 'GET',
    path: '/api/v1/groups/{name}',
    role: 'read',
    summary: 'One group, as `lxc-autoscale explain GROUP --json` has it',
    run: ({ service, params }) =>
      answerOf<object>(service, { command: 'explain-group', group: params['name'] ?? '' }, 'group'),
  }),
  route({
    method: 'GET',
    path: '/api/v1/recommendations',
    role: 'read',
    summary: 'What each guest should have for good, as `lxc-autoscale recommend --json` has it',
    query: ofNode,
    answer: z.object({
      containers: z.array(rows),
      diff: z.nullable(z.string()),
      left: z.array(z.int()),
      note: z.string(),
    }),
    run: ({ service, query, stay }) => {
      const loop = nodeNamed(service, query.node);
      stayOn(stay);
      return recommendations(service, loop);
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/health',
    role: 'read',
    summary: 'Whether the daemon does its work',
    run: ({ service }) => service.health(),
  }),
  route({
    method: 'GET',
    path: '/api/v1/config',
    role: 'admin',
    summary: 'The configuration in force, without its secrets',
    answer: z.object({ config: rows }),
    run: ({ service }) => ({ config: maskedConfig(service.nodes()[0].config) }),
  }),
];

export const readRoutes = (access: Access, events: LiveEvents): readonly Route[] => [
  ...guestRoutes,
  ...programRoutes,
  route({
    method: 'GET',
    path: '/api/v1/events',
    role: 'read',
    summary: 'Each cycle and each line of the JSON log, as server-sent events',
    run: ({ stay, who, session }) => events.listen(stay, access.watch(who, session)),
  }),
];
