import type { DiskAnswer, DiskWish } from '../core/groups/disk-wish.ts';
import { guestInside, guestLabel, kindOf, LONGEST_NAME } from '../core/guest-words.ts';
import type { DiskDetails } from '../core/journal-event.ts';
import { plainText } from '../core/plain-text.ts';
import { planClone, planDestroy } from './disk-clones.ts';
import {
  type DiskContext,
  type DiskEnd,
  type DiskPlan,
  type DiskRefusal,
  type DiskWorld,
  refusal,
} from './disk-plan.ts';
import { planGrow, planRollback, planSnapshot } from './disk-steps.ts';

/**
 * Disks, snapshots and clones that a person asks for: each is looked at first, said, done by one
 * command after a copy of the configuration, and read back. What counts is what is there then.
 */

export class Disks {
  readonly #world: DiskWorld;
  #isBusy = false;

  constructor(world: DiskWorld) {
    this.#world = world;
  }

  /**
   * Does what is asked for, one at a time; it may take long, and goes on whoever waits for it.
   *
   * @param by who asks, such as `api:deploy`
   */
  async ask(
    wish: DiskWish,
    by: string,
    how: { readonly dryRun: boolean; readonly confirmed: boolean },
  ): Promise<DiskAnswer> {
    const refused = (code: 'refused' | 'busy' | 'confirm', why: string): DiskAnswer => ({
      ok: false,
      code,
      why,
    });
    const context = { world: this.#world, by };
    const plan = this.#whyNot() ?? planOf(context, wish);
    if (!plan.ok) return refused('refused', plan.why);
    const { says, facts } = plan;
    if (how.dryRun) return { ok: true, says, facts };
    if (plan.needsConfirmation === true && !how.confirmed) {
      return refused('confirm', `${says} Nothing was done yet: send "confirm": true to do it.`);
    }
    if (this.#isBusy) return refused('busy', 'Another disk or clone is at work; ask again later.');
    this.#isBusy = true;
    try {
      return await this.#carryOut(context, wish, plan);
    } finally {
      this.#isBusy = false;
    }
  }

  #whyNot(): DiskRefusal | undefined {
    const { guests, notOurs } = this.#world;
    const others = notOurs?.();
    if (others !== undefined) return refusal(`Nothing is changed: ${others.why}.`);
    const quorum = guests.quorum();
    if (!quorum.ok) return refusal(`It is not known whether there is quorum: ${quorum.detail}.`);
    return quorum.value ? undefined : refusal('The cluster has no quorum, so nothing is changed.');
  }

  async #carryOut({ by }: DiskContext, wish: DiskWish, plan: DiskPlan): Promise<DiskAnswer> {
    const { says, facts, guest } = plan;
    this.#record(wish, plan, by, { status: 'asked' });
    const end = await endOf(plan);
    if (end.ok) {
      const { note } = end;
      this.#record(wish, plan, by, { status: 'confirmed', note });
      return { ok: true, says, facts, ...(note !== undefined && { note }) };
    }
    this.#record(wish, plan, by, { status: 'failed', note: end.why });
    return { ok: false, code: 'failed', why: `${guestLabel(guest.config)}: ${end.why}` };
  }

  #record(
    { kind: step }: DiskWish,
    { guest: { config }, says, facts }: DiskPlan,
    by: string,
    end: Pick<DiskDetails, 'status' | 'note'>,
  ): void {
    const { log, journal } = this.#world;
    const { vmid } = config;
    const about = { component: 'http', vmid, event: step, outcome: end.status } as const;
    const note = end.note === undefined ? '' : ` ${end.note}`;
    if (end.status === 'failed') log.error(`FAILED, as ${by} has asked. ${says}${note}`, about);
    else if (end.status === 'asked') log.info(`${by} has asked. ${says}`, about);
    else log.info(`Done, as ${by} has asked. ${says}${note}`, about);
    const name = plainText(config.name, LONGEST_NAME);
    const reason = `it was asked for by ${by}`;
    const { vm_id: _, ...figures } = facts;
    const details = { step, name, ...kindOf(config), reason, asked_by: by, ...figures, ...end };
    if (journal.record({ kind: 'disk', vmid, details })) return;
    log.error(`The JSON log could not be written for ${guestInside(config)}`, about);
  }
}

function planOf(context: DiskContext, wish: DiskWish): DiskPlan | DiskRefusal {
  const now = context.world.guestNow(wish.vmid);
  if (!now.ok) return refusal(`The guest cannot be seen: ${now.detail}.`);
  const guest = now.value;
  const { lock } = guest.config;
  const label = guestLabel(guest.config);
  if (lock !== undefined) return refusal(`${label} is locked (${plainText(lock, LONGEST_NAME)}).`);
  if (wish.kind === 'destroy') return planDestroy(context, guest);
  const ignored = context.world.ignored(guest.config);
  if (ignored !== undefined) return refusal(`${label} is skipped: ${ignored}.`);
  switch (wish.kind) {
    case 'grow':
      return planGrow(context, guest, wish.disk, wish.gib);
    case 'snapshot':
      return planSnapshot(context, guest, wish.name);
    case 'rollback':
      return planRollback(context, guest, wish.name);
    case 'clone':
      return planClone(context, guest, wish.newVmid, wish.name);
  }
}

/** What throws has failed too: whoever asked must hear of it. */
async function endOf({ run }: DiskPlan): Promise<DiskEnd> {
  try {
    return await run();
  } catch (error) {
    return { ok: false, why: `it broke off: ${error instanceof Error ? error.message : error}` };
  }
}
