import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { whyLeftAlone } from '../../config/resolve.ts';
import type { DiskAnswer, DiskWish } from '../../core/groups/disk-wish.ts';
import { guestState } from '../../core/guest-state.ts';
import type { DiskWorld } from '../../groups/disk-plan.ts';
import { Disks } from '../../groups/disks.ts';
import { hostRoom, runningLimits } from '../../groups/view.ts';
import { whyNotGiven } from '../../loop/headroom.ts';
import { createCluster } from '../../node/local/pve/cluster-files.ts';
import { readGuestNow } from '../../node/local/pve/guest-now.ts';
import { createLedgers } from '../../node/local/pve/member-ledger.ts';
import { createGroupTools } from '../../node/local/pve/pct-groups.ts';
import type { NodeLoop } from '../node-loop.ts';
import { isAway } from '../unfit.ts';
import { askedBy, type ChangeQuery, refuseInDryRun } from './change-answer.ts';
import { stayOn } from './in-line.ts';
import { HttpProblem, refuseGone } from './problem.ts';
import type { Asked } from './route.ts';
import type { HttpService } from './service.ts';

/** Disks and clones of the node that the program runs on; they are made when first needed. */

const made = new WeakMap<NodeLoop, Disks>();

/** What is under way may end within a moment when the program ends. */
const END_MS = 1000;

function disksOf(service: HttpService): Disks {
  const [loop] = service.nodes();
  const known = made.get(loop);
  if (known !== undefined) return known;
  const disks = new Disks(worldOf(service, loop));
  made.set(loop, disks);
  return disks;
}

/** Takes in what a former life of the program has begun; false: not now, or not all of it. */
export async function settleDisks(service: HttpService): Promise<boolean> {
  const [{ config, settings }] = service.nodes();
  if (settings.dryRun || isAway(config, service.context)) return true;
  return disksOf(service).settle();
}

export const memoryOnItsWay = ({ nodes }: HttpService): number =>
  made.get(nodes()[0])?.comingMib ?? 0;

/** Begins nothing more. */
export async function endDisks({ nodes }: HttpService): Promise<void> {
  const late = new Promise((resolve) => {
    setTimeout(resolve, END_MS).unref();
  });
  await made.get(nodes()[0])?.end(late);
}

function worldOf({ context, groupMemoryMib }: HttpService, loop: NodeLoop): DiskWorld {
  const { paths, env } = context;
  const { world, open } = loop;
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
    ledgers: createLedgers(paths),
    node: open.name,
    look: async () => {
      await world.observe();
      return open.hanging();
    },
    guestNow: (vmid) => readGuestNow(paths, vmid),
    runs: ({ config: { vmid, kind } }) => {
      if (kind === 'qemu') return existsSync(paths.machineScope(vmid));
      const state = guestState(world.cgroups.sample(vmid)).kind;
      return state === 'unknown' ? undefined : state !== 'stopped';
    },
    nonce: () => randomBytes(16).toString('hex'),
    room,
    whyNotGiven: (config, memoryMib) =>
      whyNotGiven(world, loop.settings.hostPolicy, config, memoryMib, groupMemoryMib()),
    ignored: (config) => {
      const management = loop.settings.manage(config);
      return management.kind === 'ignored' ? management.because : undefined;
    },
    leftAlone: (config) => whyLeftAlone(loop.config, config),
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
