import type { DiskAnswer, DiskWish } from '../core/groups/disk-wish.ts';
import { guestLabel, LONGEST_NAME } from '../core/guest-words.ts';
import { plainText } from '../core/plain-text.ts';
import { lockedWords, settleClones } from './clone-rest.ts';
import { planClone, planDestroy } from './disk-clones.ts';
import {
  type DiskContext,
  type DiskEnd,
  type DiskPlan,
  type DiskRefusal,
  type DiskWorld,
  failed,
  record,
  refusal,
  STOPPING,
} from './disk-plan.ts';
import { planGrow, planRollback, planSnapshot } from './disk-steps.ts';

/**
 * Disks, snapshots and clones that a person asks for: each is looked at first, said, done by one
 * command after a copy of the configuration, and read back. What counts is what is there then.
 */

const BUSY = 'Another disk or clone is at work; ask again later.';

export class Disks {
  readonly #world: DiskWorld;
  readonly #stop = new AbortController();
  #comingMib = 0;
  /** What is under way. */
  #work: Promise<unknown> | undefined;

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
    const context = { ...this.#context, by };
    const plan = this.#whyNot() ?? planOf(context, wish);
    if (!plan.ok) return refused('refused', plan.why);
    const { says, facts } = plan;
    if (how.dryRun) return { ok: true, says, facts };
    if (plan.needsConfirmation === true && !how.confirmed) {
      return refused('confirm', `${says} Nothing was done yet: send "confirm": true to do it.`);
    }
    if (this.#work !== undefined) return refused('busy', BUSY);
    const unrecordable = this.#whyUnrecordable();
    if (unrecordable !== undefined) return refused('refused', unrecordable);
    return this.#alone(() => this.#carryOut(context, wish, plan));
  }

  /** Takes in what a former life has begun; false: it cannot be done now, or not all of it. */
  async settle(): Promise<boolean> {
    const whyNot = this.#whyNot()?.why ?? this.#whyUnrecordable();
    if (whyNot !== undefined || this.#work !== undefined) return false;
    return this.#alone(() => settleClones(this.#context));
  }

  /**
   * Begins no further command. What is under way may end until `late`; else it is left to finish,
   * and the next start takes it in.
   */
  async end(late: Promise<unknown>): Promise<void> {
    this.#stop.abort();
    await Promise.race([this.#work, late]);
    if (this.#work === undefined) return;
    const about = { component: 'http' } as const;
    this.#world.log.info('A disk or clone is under way; it is left to finish.', about);
  }

  get #context(): Omit<DiskContext, 'by'> {
    const keep = (memoryMib: number): void => {
      this.#comingMib = memoryMib;
    };
    return { world: this.#world, stop: this.#stop.signal, keep };
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    const running = work();
    this.#work = running;
    try {
      return await running;
    } finally {
      this.#work = undefined;
      this.#comingMib = 0;
    }
  }

  /** Memory of the host for a guest that is about to run. */
  get comingMib(): number {
    return this.#comingMib;
  }

  #whyNot(): DiskRefusal | undefined {
    const { guests, notOurs } = this.#world;
    if (this.#stop.signal.aborted) return refusal(`Nothing is begun: ${STOPPING}.`);
    const others = notOurs?.();
    if (others !== undefined) return refusal(`Nothing is changed: ${others.why}.`);
    const quorum = guests.quorum();
    if (!quorum.ok) return refusal(`It is not known whether there is quorum: ${quorum.detail}.`);
    return quorum.value ? undefined : refusal('The cluster has no quorum, so nothing is changed.');
  }

  /** What could not be put on record is not begun. */
  #whyUnrecordable(): string | undefined {
    const { journal, backups } = this.#world;
    const problem = backups.problem?.() ?? journal.problem?.();
    return problem && `Nothing is changed, since it could not be put on record: ${problem}.`;
  }

  async #carryOut({ world, by }: DiskContext, wish: DiskWish, plan: DiskPlan): Promise<DiskAnswer> {
    const { says, facts, guest } = plan;
    const what = { step: wish.kind, guest, says, facts };
    record(world, what, by, { status: 'asked' });
    const end = await endOf(plan);
    if (end.ok) {
      const { note } = end;
      const came = { ...facts, ...end.facts };
      record(world, { ...what, facts: came }, by, { status: 'confirmed', note });
      return { ok: true, says, facts: came, ...(note !== undefined && { note }) };
    }
    record(world, what, by, { status: 'failed', note: end.why });
    return { ok: false, code: 'failed', why: `${guestLabel(guest.config)}: ${end.why}` };
  }
}

function planOf(context: DiskContext, wish: DiskWish): DiskPlan | DiskRefusal {
  const now = context.world.guestNow(wish.vmid);
  if (!now.ok) return refusal(`The guest cannot be seen: ${now.detail}.`);
  const guest = now.value;
  const { lock } = guest.config;
  const label = guestLabel(guest.config);
  if (lock !== undefined) return refusal(lockedWords(guest, plainText(lock, LONGEST_NAME)));
  const { ignored, leftAlone } = context.world;
  const why = wish.kind === 'destroy' ? leftAlone(guest.config) : ignored(guest.config);
  if (why !== undefined) return refusal(`${label} is skipped: ${why}.`);
  switch (wish.kind) {
    case 'destroy':
      return planDestroy(context, guest);
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
    return failed(`it broke off: ${error instanceof Error ? error.message : error}`);
  }
}
