import * as z from 'zod/mini';
import type { DiskWish } from '../../core/groups/disk-wish.ts';
import { milliseconds, parseVmid, type Vmid } from '../../core/units.ts';
import type { NodeLoop } from '../node-loop.ts';
import { type ChangeQuery, changeAnswer, changeQuery } from './change-answer.ts';
import { change, coresField, memoryField } from './change-routes.ts';
import { askDisk } from './disks.ts';
import { loopOf, nodeNamed, rowOf, statusOf } from './guests.ts';
import { HttpProblem } from './problem.ts';
import { type Asked, type Route, route } from './route.ts';

/** The addresses of the API that earlier installations had: what scripts send there goes on. */

const vmId = z.union([z.int(), z.string()]);
const ofGuest = z.strictObject({ vm_id: vmId, node: z.optional(z.string()) });

function vmidIn({ vm_id: id }: { readonly vm_id: string | number }): Vmid {
  const vmid = parseVmid(`${id}`);
  if (vmid !== undefined) return vmid;
  throw new HttpProblem('no-such-guest', 'vm_id is no id of a guest');
}

/** As `/api/v1` answers it, with the fields that scripts of before look at. */
const scaled = z.extend(changeAnswer, {
  status: z.enum(['success', 'dry-run']),
  message: z.string(),
  data: z.string(),
});

async function scale(...asked: Parameters<typeof change>): Promise<z.infer<typeof scaled>> {
  const answer = await change(...asked);
  const status = answer.outcome === 'dry-run' ? 'dry-run' : 'success';
  return { ...answer, status, message: answer.says, data: '' };
}

const scaling: readonly Route[] = [
  route({
    method: 'POST',
    path: '/scale/cores',
    role: 'scale',
    summary: 'Give a guest so many cores',
    query: changeQuery,
    body: z.strictObject({ vm_id: vmId, cores: coresField }),
    answer: scaled,
    run: (asked) => {
      const cpu = { unit: 'cores', to: asked.body.cores } as const;
      return scale(asked, vmidIn(asked.body), { cpu });
    },
  }),
  route({
    method: 'POST',
    path: '/scale/ram',
    role: 'scale',
    summary: 'Give a guest so much memory, in MiB',
    query: changeQuery,
    body: z.strictObject({ vm_id: vmId, memory: memoryField }),
    answer: scaled,
    run: (asked) => scale(asked, vmidIn(asked.body), { memoryMib: asked.body.memory }),
  }),
];

const looking: readonly Route[] = [
  route({
    method: 'GET',
    path: '/snapshot/list',
    role: 'read',
    summary: 'The snapshots of a guest, as its configuration has them',
    query: ofGuest,
    answer: z.object({
      vmid: z.int(),
      snapshots: z.array(z.object({ name: z.string(), takenAt: z.string() })),
    }),
    run: async ({ service, query }) => {
      const vmid = vmidIn(query);
      const { world } = loopOf(service, vmid, query.node);
      await world.inspect(vmid);
      const file = world.guests.read(vmid);
      if (!file.ok) throw new HttpProblem('failed', file.detail);
      return { vmid, snapshots: snapshotsIn(Buffer.from(file.value.content).toString('utf8')) };
    },
  }),
  route({
    method: 'GET',
    path: '/resource/vm/status',
    role: 'read',
    summary: 'One guest',
    query: ofGuest,
    run: ({ service, query }) => rowOf(service, vmidIn(query), query.node),
  }),
  route({
    method: 'GET',
    path: '/resource/node/status',
    role: 'read',
    summary: 'The node',
    query: z.strictObject({ node_name: z.optional(z.string()) }),
    run: ({ service, query }) => statusOf(service, query.node_name).host,
  }),
  route({
    method: 'GET',
    path: '/health/check',
    role: 'read',
    summary: 'Whether the daemon does its work',
    run: ({ service }) => service.health(),
  }),
];

/** A snapshot is a section with a time; sections of other kinds have none. */
function snapshotsIn(config: string): { readonly name: string; readonly takenAt: string }[] {
  return config.split(/^(?=\[[^\]\n]+\][ \t]*$)/m).flatMap((section) => {
    const name = /^\[([A-Za-z][\w-]*)\]/.exec(section)?.[1];
    const seconds = /^snaptime: *([0-9]{1,12}) *$/m.exec(section)?.[1];
    if (name === undefined || seconds === undefined) return [];
    return [{ name, takenAt: new Date(milliseconds(Number(seconds) * 1000)).toISOString() }];
  });
}

const done = z.object({
  status: z.enum(['success', 'dry-run']),
  message: z.string(),
  data: z.object({
    vm_id: z.int(),
    disk: z.optional(z.string()),
    before_mib: z.optional(z.number()),
    after_mib: z.optional(z.number()),
    snapshot_name: z.optional(z.string()),
    new_vm_id: z.optional(z.int()),
  }),
  note: z.optional(z.string()),
});

type DiskAsked = Asked<ChangeQuery>;

async function disk(
  asked: DiskAsked,
  loop: NodeLoop,
  wish: DiskWish,
  confirmed?: boolean,
): Promise<z.infer<typeof done>> {
  const { says, facts, note } = await askDisk(asked, loop, wish, confirmed);
  const status = asked.query.dry_run ? 'dry-run' : 'success';
  return { status, message: says, data: facts, ...(note !== undefined && { note }) };
}

const ofVm = ({ service, query }: DiskAsked, vmid: Vmid): NodeLoop =>
  loopOf(service, vmid, query.node);

const snapshotRoute = (
  kind: 'snapshot' | 'rollback',
  path: string,
  role: Route['role'],
  summary: string,
): Route =>
  route({
    method: 'POST',
    path,
    role,
    summary,
    query: changeQuery,
    body: z.strictObject({ vm_id: vmId, snapshot_name: z.string().check(z.maxLength(80)) }),
    answer: done,
    run: (asked) => {
      const vmid = vmidIn(asked.body);
      return disk(asked, ofVm(asked, vmid), { kind, vmid, name: asked.body.snapshot_name });
    },
  });

const disks: readonly Route[] = [
  route({
    method: 'POST',
    path: '/scale/storage/increase',
    role: 'admin',
    summary: 'Make a disk of a guest larger by so many GiB; `confirm` must be true',
    query: changeQuery,
    body: z.strictObject({
      vm_id: vmId,
      disk_size: z.int().check(z.gte(1), z.lte(65_536)),
      disk: z.optional(z.string().check(z.maxLength(16))),
      confirm: z.optional(z.boolean()),
    }),
    answer: done,
    run: (asked) => {
      const { disk_size: gib, disk: key, confirm } = asked.body;
      const vmid = vmidIn(asked.body);
      const wish = { kind: 'grow', vmid, gib, ...(key !== undefined && { disk: key }) } as const;
      return disk(asked, ofVm(asked, vmid), wish, confirm);
    },
  }),
  snapshotRoute('snapshot', '/snapshot/create', 'scale', 'Take a snapshot of a guest'),
  snapshotRoute(
    'rollback',
    '/snapshot/rollback',
    'admin',
    'Take a guest back to a snapshot; what was written since is lost',
  ),
  route({
    method: 'POST',
    path: '/clone/create',
    role: 'scale',
    summary: 'Clone a guest with all of its disks',
    query: changeQuery,
    body: z.strictObject({
      vm_id: vmId,
      new_vm_id: vmId,
      new_vm_name: z.string().check(z.maxLength(80)),
    }),
    answer: done,
    run: (asked) => {
      const { new_vm_id: id, new_vm_name: name } = asked.body;
      const vmid = vmidIn(asked.body);
      const newVmid = parseVmid(`${id}`);
      if (newVmid === undefined) {
        throw new HttpProblem('wrong-request', 'new_vm_id is no id of a guest');
      }
      return disk(asked, ofVm(asked, vmid), { kind: 'clone', vmid, newVmid, name });
    },
  }),
  route({
    method: 'DELETE',
    path: '/clone/delete',
    role: 'scale',
    summary: 'Stop and destroy a guest that clone/create has made',
    query: changeQuery,
    body: z.strictObject({ vm_id: vmId }),
    answer: done,
    run: (asked) => {
      const vmid = vmidIn(asked.body);
      // No cycle may have seen it yet.
      const loop = nodeNamed(asked.service, asked.query.node);
      return disk(asked, loop, { kind: 'destroy', vmid });
    },
  }),
];

const own: readonly Route[] = [...scaling, ...looking, ...disks];

/** @param others the routes besides these */
export function foundingRoutes(others: readonly Route[]): readonly Route[] {
  const list: Route = route({
    method: 'GET',
    path: '/routes',
    role: 'read',
    summary: 'All routes',
    answer: z.object({ routes: z.array(z.record(z.string(), z.string())) }),
    run: () => ({
      routes: all.map(({ method, path, role, summary }) => ({ method, path, role, summary })),
    }),
  });
  const all: readonly Route[] = [...others, ...own, list];
  return all;
}
