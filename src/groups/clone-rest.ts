import { guestInside, guestLabel, toolOf } from '../core/guest-words.ts';
import type { Reading } from '../core/reading.ts';
import type { GuestNow } from '../node/port.ts';
import { asSeenWhole, clonesOnRecord, editClones, isYoung } from './clone-ledger.ts';
import { dropSnapshot } from './clone-snapshots.ts';
import { change, type DiskContext, lookAt, named, record } from './disk-plan.ts';

/** What is still to be done for clones: of a daemon that ended meanwhile, and of what stays off. */

/** Nobody asks for what was left by others, who may be gone. */
const ITSELF = 'lxc-autoscale';

/**
 * Takes in what was begun earlier and not ended: a clone that is whole by now, and the snapshots of
 * all others. It is done before each clone, and after the start. Returns false if one is still
 * under way, so that it is to be done again.
 */
export async function settleClones(asked: Omit<DiskContext, 'by'>): Promise<boolean> {
  const context = { ...asked, by: ITSELF };
  const { world } = context;
  const ledger = clonesOnRecord(world);
  if (!ledger.ok) return true;
  let isOver = true;
  for (const entry of ledger.value.members.values()) {
    if (entry.identity !== undefined) continue;
    const seen = await lookAt(world, entry.vmid);
    const whole = seen.ok ? asSeenWhole(world, entry) : seen;
    if (isUnderWay(world, seen, entry)) isOver = false;
    if (!seen.ok || !whole.ok) continue;
    const off = await keepOff(context, seen.value);
    // From its identity on nothing takes it in again.
    if (context.stop.aborted) return false;
    const problem = editClones(world, ({ members }) => members.set(entry.vmid, whole.value));
    const says = `${named(seen.value)} is a clone that was begun earlier, and is whole now.`;
    const what = { step: 'clone', guest: seen.value, says, facts: { vm_id: entry.vmid } } as const;
    record(world, what, ITSELF, { status: 'confirmed', note: problem ?? off });
  }
  const snapshots = [...ledger.value.snapshots.values()];
  for (const one of snapshots) {
    if (isUnderWay(world, await lookAt(world, one.source), one)) isOver = false;
  }
  // What fails is told once, and not each time that others are waited for.
  if (!isOver) return false;
  for (const { name, source } of snapshots) {
    const left = await dropSnapshot(context, source, name, true);
    if (left !== undefined) world.log.warn(left, { component: 'http', vmid: source });
  }
  return true;
}

/** Whether a guest may be locked since a clone or a snapshot of it is being made. */
const isUnderWay = (
  world: DiskContext['world'],
  seen: Reading<GuestNow>,
  made: { readonly madeS: number },
): boolean => seen.ok && seen.value.config.lock !== undefined && isYoung(world, made);

const isOff = (value = '0'): boolean => /^(?:0|no|off|false)$/i.test(value);

/** A clone has this of its source, and would start with the host. Returns what came of it. */
export async function keepOff(context: DiskContext, guest: GuestNow): Promise<string | undefined> {
  const { world } = context;
  const { vmid, digest } = guest.config;
  if (isOff(guest.values.get('onboot'))) return undefined;
  const set = new Map([['onboot', '0']]);
  const end = await change(context, guest, { kind: 'set', vmid, digest, set, remove: [] });
  const now = await lookAt(world, vmid);
  if (now.ok && isOff(now.value.values.get('onboot'))) {
    return 'It does not start with the host either: its onboot is off.';
  }
  const why = end.ok ? 'it still says onboot: 1' : end.why;
  const self = `${toolOf(guest.config)} set ${vmid} --onboot 0`;
  return `It still starts with the host (${why}); if it must not: ${self}.`;
}

/** Of a clone that was cut off. */
export function removeByHand({ config }: GuestNow): string {
  const { vmid, lock } = config;
  const tool = toolOf(config);
  const unlock = lock === undefined ? '' : `${tool} unlock ${vmid}, `;
  const locked = lock === undefined ? '' : `, locked (${lock})`;
  const there = `${guestInside(config)} is there${locked}, and is not whole`;
  const idle = `if no ${tool} clone is at work any more`;
  return `${there}; ${idle}, remove it: ${unlock}${tool} destroy ${vmid}`;
}

/** Of a guest whose lock comes of cloning, which may have been cut off. */
export function lockedWords({ config }: GuestNow, lock: string): string {
  const label = guestLabel(config);
  const tool = toolOf(config);
  const { vmid } = config;
  const idle = `If no ${tool} clone is at work any more`;
  if (lock === 'create') {
    const remedy = `${tool} unlock ${vmid}, ${tool} destroy ${vmid}`;
    return `${label} is locked (create): it is being made. ${idle}, remove it: ${remedy}`;
  }
  if (lock === 'disk') {
    return `${label} is locked (disk): it is being cloned. ${idle}: ${tool} unlock ${vmid}`;
  }
  return `${label} is locked (${lock}).`;
}
