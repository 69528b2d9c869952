import type { VmGuestSpec } from './vm-guest.ts';

/** Virtual machines beside the containers. */

export interface VmSpec {
  readonly vmid: number;
  /** `memory:` of its configuration. */
  readonly memoryMib: number;
  /** What it holds of the host's memory while it runs; all of it where nothing is said. */
  readonly usedMib?: number;
  /** Default: running. */
  readonly running?: boolean;
  /** More lines of its configuration, or other values: `{ shares: 0, vcpus: 2 }`. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** What goes on in it. Left out: it holds memory of the host, and does nothing. */
  readonly guest?: VmGuestSpec;
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

/** The text of its configuration, with keys in the order in which Proxmox VE writes them. */
export function vmText({ vmid, memoryMib, settings = {} }: VmSpec): string {
  const values: Record<string, string | number> = {
    boot: 'order=scsi0',
    cores: 2,
    memory: memoryMib,
    name: `vm${vmid}`,
    ostype: 'l26',
    scsi0: `local-lvm:vm-${vmid}-disk-0,size=8G`,
    sockets: 1,
    ...settings,
  };
  if (Object.keys(settings).length > 0) {
    const mac = hex(vmid, 6)
      .toUpperCase()
      .replace(/(..)(?=.)/g, '$1:');
    values['net0'] = `virtio=BC:24:11:${mac},bridge=vmbr0`;
    values['smbios1'] = `uuid=0a91b24c-1cff-4467-a1f4-${hex(vmid, 12)}`;
  }
  const keys = Object.keys(values).sort();
  return keys.map((key) => `${key}: ${values[key]}\n`).join('');
}
