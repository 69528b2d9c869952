import type { Vmid } from '../units.ts';

/** What a person may ask for of the disks of a guest, besides what the program does by itself. */
export type DiskWish =
  /** More GiB for a disk by its key; undefined: for its root, or the disk it boots from. */
  | { readonly kind: 'grow'; readonly vmid: Vmid; readonly disk?: string; readonly gib: number }
  | { readonly kind: 'snapshot' | 'rollback'; readonly vmid: Vmid; readonly name: string }
  | {
      readonly kind: 'clone';
      readonly vmid: Vmid;
      readonly newVmid: Vmid;
      readonly name: string;
    }
  /** Of a clone that was made so. */
  | { readonly kind: 'destroy'; readonly vmid: Vmid };

/** Figures and names for programs. */
export interface DiskFacts {
  readonly vm_id: number;
  readonly disk?: string;
  readonly before_mib?: number;
  readonly after_mib?: number;
  readonly snapshot_name?: string;
  readonly new_vm_id?: number;
}

export type DiskAnswer =
  | {
      readonly ok: true;
      /** Sentences on what is done. */
      readonly says: string;
      readonly facts: DiskFacts;
      /** What is to be known besides, once it is done. */
      readonly note?: string;
    }
  | {
      readonly ok: false;
      readonly code: 'refused' | 'failed' | 'confirm' | 'busy';
      /** Sentences. */
      readonly why: string;
    };

/** The ledger of clones that were asked for on a node; no group can be called so. */
export const cloneLedger = (node: string): string => `_clones-of-${node}`;

const DISK = /^(?:rootfs|mp[0-9]{1,3}|(?:scsi|virtio|sata|ide)[0-9]{1,2})$/;

/** Whether a line of a configuration is about a disk that can grow. */
export const isDisk = (key: string, value: string): boolean =>
  DISK.test(key) && !/(?:^|,)media=cdrom(?:,|$)/.test(value);

/** As Proxmox VE takes it; `current` stands for what is in force. */
export const isSnapshotName = (name: string): boolean =>
  /^[A-Za-z][A-Za-z0-9_-]{1,39}$/.test(name) && !/^(?:current|pending)$/i.test(name);

/** Names of snapshots that are removed by those that they are of: a backup, or a clone of ours. */
export const isNameOfOthers = (name: string): boolean => /^(?:vzdump$|autoscale-)/.test(name);

/** The disk that a guest is mostly meant by; undefined: it has none that is known to be it. */
export function mainDisk(values: ReadonlyMap<string, string>): string | undefined {
  if (values.has('rootfs')) return 'rootfs';
  const order = /(?:^|,)order=([^,]*)/.exec(values.get('boot') ?? '')?.[1]?.split(';') ?? [];
  const disks = [...values].filter(([key, value]) => isDisk(key, value)).map(([key]) => key);
  const named = [...order, values.get('bootdisk') ?? ''].find((key) => disks.includes(key));
  return named ?? (disks.length === 1 ? disks[0] : undefined);
}

/** The volume of a disk, without what is said of it; undefined: it is none that can grow. */
export function volumeOf(values: ReadonlyMap<string, string>, key: string): string | undefined {
  const value = values.get(key);
  if (value === undefined || !isDisk(key, value)) return undefined;
  const [first = ''] = value.replace(/^(?:volume|file)=/, '').split(',');
  return /^[A-Za-z][A-Za-z0-9_.-]*:/.test(first) ? first : undefined;
}

/** Whether it is told an address of its own, which a clone would have too. */
export const hasOwnAddress = (values: ReadonlyMap<string, string>): boolean =>
  [...values].some(
    ([key, value]) =>
      /^(?:net|ipconfig)[0-9]+$/.test(key) && /(?:^|,)ip6?=[0-9a-f]*[.:0-9]/i.test(value),
  );
