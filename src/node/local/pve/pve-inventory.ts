import { missing, present, type Reading } from '../../../core/reading.ts';
import type { Vmid } from '../../../core/units.ts';
import { createFileReader, type ReadSmallFile } from '../../../os/file-reader.ts';
import { noNode, type Paths } from '../paths.ts';
import { readQuorum } from './members-file.ts';
import { type ListedGuest, parseStartTime, parseVmlist } from './vmlist-file.ts';

/** As large as `/etc/pve` takes a file. */
const LIMIT_BYTES = 1024 * 1024;

/**
 * Every configuration is read again within this many looks, even if its version is the same. One
 * wrong reading would otherwise stand until the next change, which may never come.
 */
export const LOOKS_A_ROUND = 30;

/** Which guests the cluster has, at one look. */
export interface Inventory {
  /** Another one with each start of the cluster file system: versions count anew from then on. */
  readonly epoch: number;
  /** The name of this node. */
  readonly node: string;
  /** All guests of the cluster; the same map as long as `.vmlist` says the same. */
  readonly guests: Reading<ReadonlyMap<Vmid, ListedGuest>>;
}

/**
 * `.version`, `.vmlist` and `.members` of `/etc/pve`: which guests there are, where, and which of
 * their configurations have changed. Every read there costs many times that of a plain file, so a
 * look is two of them, and what they say is parsed only if it is new.
 */
export class PveInventory {
  readonly #paths: Paths;
  readonly #read: ReadSmallFile;
  #startTime: number | undefined;
  #epoch = 0;
  #node: string | undefined;
  #looks = 0;
  #text = Buffer.alloc(0);
  #guests: Reading<ReadonlyMap<Vmid, ListedGuest>> | undefined;

  constructor(paths: Paths) {
    this.#paths = paths;
    this.#read = createFileReader(LIMIT_BYTES, paths.files);
  }

  look(): Inventory {
    this.#noticeRestart();
    this.#looks += 1;
    if (this.#looks % LOOKS_A_ROUND === 0) this.#node = undefined;
    const guests = this.#list();
    const node = this.#node ?? this.#paths.nodeName();
    // If nothing is listed, the cluster file system may only come up, and the name with it.
    this.#node = guests.ok ? node : undefined;
    return { epoch: this.#epoch, node, guests };
  }

  /** Whether configurations can be written; true also for a node that stands alone. */
  quorum(): Reading<boolean> {
    return readQuorum(this.#paths, this.#read);
  }

  /** A start time that is not known counts as a new one: an equal version would prove nothing. */
  #noticeRestart(): void {
    const file = this.#read(this.#paths.pveVersion);
    const startTime = file.ok ? parseStartTime(file.value.toString('utf8')) : undefined;
    if (startTime !== undefined && startTime === this.#startTime) return;
    this.#startTime = startTime;
    this.#epoch += 1;
    this.#node = undefined;
  }

  #list(): Reading<ReadonlyMap<Vmid, ListedGuest>> {
    const { vmlist } = this.#paths;
    const file = this.#read(vmlist);
    if (!file.ok) return file.why === 'absent' ? missing('absent', noNode(vmlist)) : file;
    if (this.#guests !== undefined && this.#text.equals(file.value)) return this.#guests;
    const guests = parseVmlist(file.value.toString('utf8'));
    this.#text = Buffer.from(file.value);
    this.#guests =
      guests === undefined ? missing('malformed', `${vmlist}: not understood`) : present(guests);
    return this.#guests;
  }
}

/** What was made of configurations, each for as long as its version stays, and for one round. */
export class ByVersion<T> {
  #epoch = 0;
  /** The longest known first. */
  readonly #known = new Map<Vmid, { readonly guest: ListedGuest; readonly value: T }>();
  #due = 0;

  /**
   * To be called once a look. Drops what is known of another epoch, and of the rest what is to be
   * read again at this look. Returns whether it dropped anything.
   */
  begin(epoch: number): boolean {
    if (epoch === this.#epoch) return this.#dropDue();
    this.#epoch = epoch;
    this.#known.clear();
    return true;
  }

  /** A few at each look, so that no look has to read all of them. */
  #dropDue(): boolean {
    this.#due += this.#known.size / LOOKS_A_ROUND;
    const count = Math.floor(this.#due);
    this.#due -= count;
    for (const vmid of [...this.#known.keys()].slice(0, count)) this.#known.delete(vmid);
    return count > 0;
  }

  get(guest: ListedGuest): T | undefined {
    const known = this.#known.get(guest.vmid);
    return known !== undefined && isSame(known.guest, guest) ? known.value : undefined;
  }

  /** Of a configuration that was read just now. */
  set(guest: ListedGuest, value: T): void {
    this.#known.delete(guest.vmid);
    this.#known.set(guest.vmid, { guest, value });
  }

  /** Another value of the same version; nothing if there is none. */
  replace(vmid: Vmid, change: (value: T) => T): void {
    const known = this.#known.get(vmid);
    if (known !== undefined) this.#known.set(vmid, { ...known, value: change(known.value) });
  }

  keepOnly(isKept: (vmid: Vmid) => boolean): void {
    for (const vmid of [...this.#known.keys()]) if (!isKept(vmid)) this.#known.delete(vmid);
  }
}

const isSame = (one: ListedGuest, other: ListedGuest): boolean =>
  one === other ||
  (one.version === other.version && one.node === other.node && one.type === other.type);
