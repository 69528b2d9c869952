import { type GuestIdentity, isSameGuest } from './identity.ts';
import type { Vmid } from './units.ts';
import type { UsageRecord } from './usage-history.ts';

/** Whose usage the history of an id is. What another guest has used says nothing of this one. */

interface Lineage {
  /** In the order of time. */
  readonly guests: GuestIdentity[];
  /** The last record that names none, before the first that does. */
  unnamed: UsageRecord | undefined;
  /** Whether the records that name none are about the first guest that is named. */
  unnamedAreFirst: boolean;
}

/** An upgrade takes no longer than this. */
const LONGEST_UPGRADE_S = 3600;

/** Learns from all records of a history, in their order, which guests have had an id. */
export class UsageGuests {
  readonly #lineages = new Map<Vmid, Lineage>();

  take(record: UsageRecord): void {
    const { vmid, guest } = record;
    const lineage = this.#lineages.get(vmid) ?? { ...NOTHING, guests: [] };
    this.#lineages.set(vmid, lineage);
    const { guests } = lineage;
    if (guest === undefined) {
      if (guests.length === 0) lineage.unnamed = record;
      return;
    }
    if (guests.at(-1) === guest) return;
    if (guests.length === 0) lineage.unnamedAreFirst = goesOn(lineage.unnamed, record);
    guests.push(guest);
  }

  /**
   * Which records are about the guest that has the id now; where nobody has it, about the last one
   * that had. Without any named guest all of them may be.
   *
   * @param now the guests there are, undefined for one that cannot be recognised
   */
  filter(
    now: ReadonlyMap<Vmid, GuestIdentity | undefined>,
  ): (record: Pick<UsageRecord, 'vmid' | 'guest'>) => boolean {
    const own = new Map<Vmid, ReadonlySet<GuestIdentity>>();
    for (const [vmid, { guests }] of this.#lineages) {
      const owner = now.has(vmid) ? now.get(vmid) : guests.at(-1);
      own.set(vmid, linked(owner, guests));
    }
    return ({ vmid, guest }) => {
      const { guests = [], unnamedAreFirst } = this.#lineages.get(vmid) ?? NOTHING;
      if (guest !== undefined) return own.get(vmid)?.has(guest) === true;
      const [first] = guests;
      return first === undefined || (unnamedAreFirst && own.get(vmid)?.has(first) === true);
    };
  }
}

const NOTHING = { guests: [], unnamed: undefined, unnamedAreFirst: false };

/** One device after the other may have been replaced, so each one like a later one counts. */
function linked(
  owner: GuestIdentity | undefined,
  guests: readonly GuestIdentity[],
): ReadonlySet<GuestIdentity> {
  const links = new Set<GuestIdentity>();
  for (const guest of [...guests].reverse()) {
    if ([owner, ...links].some((link) => isSameGuest(link, guest))) links.add(guest);
  }
  return links;
}

/** A release that named no guests was replaced by this one, and the guest goes on as it was. */
const goesOn = (before: UsageRecord | undefined, after: UsageRecord): boolean =>
  before !== undefined &&
  after.timeS - before.timeS <= LONGEST_UPGRADE_S &&
  before.cpuAllowed === after.cpuAllowed &&
  before.memoryLimitMib === after.memoryLimitMib;
