import { guestInside, guestLabel, toolOf } from '../core/guest-words.ts';
import type { GuestNow } from '../node/port.ts';
import { asSeenWhole, clonesOnRecord, editClones } from './clone-ledger.ts';
import { dropSnapshot } from './clone-snapshots.ts';
import { change, type DiskContext, lookAt, named, record } from './disk-plan.ts';

/** What is still to be done for clones: of a daemon that ended meanwhile, and of what stays off. */

/**
 * Takes in what a former life of this program has begun: a clone that is whole by now, and the
 * snapshots of all others. It is done before each clone, and after the start.
 */
export async function settleClones(context: DiskContext): Promise<void> {
  const { world, by } = context;
  const ledger = clonesOnRecord(world);
  if (!ledger.ok) return;
  for (const entry of ledger.value.members.values()) {
    if (entry.identity !== undefined) continue;
    const seen = await lookAt(world, entry.vmid);
    const whole = seen.ok ? asSeenWhole(world, entry) : seen;
    if (!seen.ok || !whole.ok) continue;
    const problem = editClones(world, ({ members }) => members.set(entry.vmid, whole.value));
    const says = `${named(seen.value)} is the clone that was begun before the last start.`;
    const what = { step: 'clone', guest: seen.value, says, facts: { vm_id: entry.vmid } } as const;
    const off = problem ?? (await keepOff(context, seen.value));
    record(world, what, by, { status: 'confirmed', note: off });
  }
  for (const { name, source } of ledger.value.snapshots.values()) {
    const left = await dropSnapshot(context, source, name, true);
    if (left !== undefined) world.log.warn(left, { component: 'http', vmid: source });
  }
}

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
