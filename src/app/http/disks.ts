import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { DiskAnswer, DiskWish } from '../../core/groups/disk-wish.ts';
import { isStopped } from '../../core/guest-state.ts';
import type { DiskWorld } from '../../groups/disk-plan.ts';
import { Disks } from '../../groups/disks.ts';
import { hostRoom, runningLimits } from '../../groups/view.ts';
import { createCluster } from '../../node/local/pve/cluster-files.ts';
import { readGuestNow } from '../../node/local/pve/guest-now.ts';
import { createLeases } from '../../node/local/pve/lease.ts';
import { createLedgers } from '../../node/local/pve/member-ledger.ts';
import { createGroupTools } from '../../node/local/pve/pct-groups.ts';
import { createHealthProbe } from '../../os/health-probe.ts';
import type { NodeLoop } from '../node-loop.ts';
import { isAway } from '../unfit.ts';
import { askedBy, type ChangeQuery, refuseInDryRun } from './change-answer.ts';
import { stayOn } from './in-line.ts';
import { HttpProblem, refuseGone } from './problem.ts';
import type { Asked } from './route.ts';
import type { HttpService } from './service.ts';

/** Disks and clones of the node that the program runs on; it is made when somebody first asks. */

const made = new WeakMap<NodeLoop, Disks>();

function disksOf(service: HttpService): Disks {
  const [loop] = service.nodes();
  const known = made.get(loop);
  if (known !== undefined) return known;
  const disks = new Disks(worldOf(service, loop));
  made.set(loop, disks);
  return disks;
}

function worldOf({ context, groupMemoryMib }: HttpService, loop: NodeLoop): DiskWorld {
  const { paths, clock, env } = context;
  const { world } = loop;
  const tools = createGroupTools({ paths, environment: env });
  const cluster = createCluster(paths);
  const room: DiskWorld['room'] = () => {
    const seen = cluster.read();
    if (!seen.ok) return seen;
    const { hostPolicy, manage, dryRun } = loop.settings;
    const headroom = () => loop.headroom;
    const limits = runningLimits(seen.value, world, loop.headroom);
    const settings = { policies: [], manage, hostPolicy, dryRun, headroom };
    return hostRoom(groupMemoryMib(), limits, world.host.observe(), settings);
  };
  return {
    ...world,
    cluster,
    eyes: tools,
    hands: tools,
    leases: createLeases({ paths, clock }),
    ledgers: createLedgers(paths),
    probe: createHealthProbe(),
    node: loop.open.name,
    guestNow: (vmid) => readGuestNow(paths, vmid),
    runs: ({ config: { vmid, kind } }) =>
      kind === 'qemu'
        ? existsSync(paths.machineScope(vmid))
        : !isStopped(world.cgroups.sample(vmid)),
    nonce: () => randomBytes(16).toString('hex'),
    room,
    ignored: (config) => {
      const management = loop.settings.manage(config);
      return management.kind === 'ignored' ? management.because : undefined;
    },
    isSource: (vmid) => loop.config.groups.some(({ source }) => source === vmid),
  };
}

const CODES = {
  refused: 'refused',
  failed: 'failed',
  confirm: 'confirm-needed',
  busy: 'busy',
} as const;

/** Does it, however long it takes, and also if whoever asked does not wait for it. */
export async function askDisk(
  asked: Asked<ChangeQuery>,
  loop: NodeLoop,
  wish: DiskWish,
  confirmed = false,
): Promise<DiskAnswer & { readonly ok: true }> {
  const { service, query, request, stay } = asked;
  const [home] = service.nodes();
  if (loop !== home || isAway(loop.config, service.context)) {
    const where = `a disk or clone of ${loop.open.name}`;
    const detail = `For ${where} ask the program on that node; here it is only for its own node`;
    throw new HttpProblem('not-here', detail);
  }
  refuseInDryRun(loop.settings.dryRun, query);
  stayOn(stay);
  await home.world.observe();
  const hangs = home.open.hanging();
  if (hangs !== undefined) throw new HttpProblem('refused', `Nothing is changed: ${hangs}`);
  refuseGone(request.signal);
  const how = { dryRun: query.dry_run, confirmed };
  const answer = await disksOf(service).ask(wish, askedBy(asked), how);
  if (answer.ok) return answer;
  throw new HttpProblem(CODES[answer.code], answer.why);
}
