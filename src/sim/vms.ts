/** Virtual machines beside the containers. Nothing runs in them: they hold memory of the host. */

export interface VmSpec {
  readonly vmid: number;
  /** `memory:` of its configuration. */
  readonly memoryMib: number;
  /** What it holds of the host's memory while it runs; all of it where nothing is said. */
  readonly usedMib?: number;
  /** Default: running. */
  readonly running?: boolean;
}

/** The text of its configuration, with keys in the order in which Proxmox VE writes them. */
export const vmText = ({ vmid, memoryMib }: VmSpec): string =>
  [
    'boot: order=scsi0',
    'cores: 2',
    `memory: ${memoryMib}`,
    `name: vm${vmid}`,
    'ostype: l26',
    `scsi0: local-lvm:vm-${vmid}-disk-0,size=8G`,
    'sockets: 1\n',
  ].join('\n');
