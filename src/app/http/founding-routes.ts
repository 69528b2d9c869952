import * as z from 'zod/mini';
import { milliseconds, parseVmid, type Vmid } from '../../core/units.ts';
import { changeAnswer, changeQuery } from './change-answer.ts';
import { change, coresField, memoryField } from './change-routes.ts';
import { loopOf, rowOf, statusOf } from './guests.ts';
import { HttpProblem } from './problem.ts';
import { type Route, route } from './route.ts';

/** The addresses of the API that earlier installations had: what scripts send there goes on. */

const vmId = z.union([z.int(), z.string()]);
const ofGuest = z.strictObject({ vm_id: vmId, node: z.optional(z.string()) });

function vmidIn({ vm_id: id }: { readonly vm_id: string | number }): Vmid {
  const vmid = parseVmid(`${id}`);
  if (vmid !== undefined) return vmid;
  throw new HttpProblem('no-such-guest', 'vm_id is no id of a guest');
}

const scaling: readonly Route[] = [
  route({
    method: 'POST',
    path: '/scale/cores',
    role: 'scale',
    summary: 'Give a guest so many cores',
    query: changeQuery,
    body: z.strictObject({ vm_id: vmId, cores: coresField }),
    answer: changeAnswer,
    run: (asked) => {
      const cpu = { unit: 'cores', to: asked.body.cores } as const;
      return change(asked, vmidIn(asked.body), { cpu });
    },
  }),
  route({
    method: 'POST',
    path: '/scale/ram',
    role: 'scale',
    summary: 'Give a guest so much memory, in MiB',
    query: changeQuery,
    body: z.strictObject({ vm_id: vmId, memory: memoryField }),
    answer: changeAnswer,
    run: (asked) => change(asked, vmidIn(asked.body), { memoryMib: asked.body.memory }),
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
    run: ({ service }) => statusOf(service, undefined).host,
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

/** What this program leaves to Proxmox VE, with what does it there. */
const LEFT_TO_OTHERS: readonly (readonly [Route['method'], string, string])[] = [
  ['POST', '/scale/storage/increase', 'pct resize VMID rootfs +SIZE'],
  ['POST', '/snapshot/create', 'pct snapshot VMID NAME'],
  ['POST', '/snapshot/rollback', 'pct rollback VMID NAME'],
  ['POST', '/clone/create', 'pct clone VMID NEWID, or a HORIZONTAL_SCALING_GROUP of this program'],
  ['DELETE', '/clone/delete', 'pct destroy VMID, or scale_in: destroy of a group'],
];

const leftOut = LEFT_TO_OTHERS.map(([method, path, instead]) =>
  route({
    method,
    path,
    role: 'scale',
    summary: `Not here: use ${instead}`,
    run: () => {
      throw new HttpProblem('not-here', `This program scales CPU and memory; use ${instead}`);
    },
  }),
);

const own: readonly Route[] = [...scaling, ...looking, ...leftOut];

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
