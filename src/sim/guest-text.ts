/** What a container's configuration is made of. */
export interface GuestSettings {
  readonly vmid: number;
  readonly name: string;
  readonly cores?: number;
  readonly cpuLimit?: number;
  readonly memoryMib: number;
  readonly swapMib?: number;
  readonly tags?: string;
  readonly lock?: string;
  readonly rootfs?: string;
  /** Another number for each guest that is given the id: Proxmox VE draws another address. */
  readonly life?: number;
}

/** As Proxmox VE draws them, though not at random. The first guest of an id has life 0. */
export const hardwareAddress = (vmid: number, life = 0): string =>
  `BC:24:11:${[life & 255, (vmid >> 8) & 255, vmid & 255]
    .map((byte) => byte.toString(16).toUpperCase().padStart(2, '0'))
    .join(':')}`;

/** The text of an ordinary Debian container's configuration file. */
export function guestText(settings: GuestSettings): string {
  const { vmid } = settings;
  const address = `10.0.${Math.floor(vmid / 250) % 250}.${(vmid % 250) + 2}/16`;
  const hardware = hardwareAddress(vmid, settings.life);
  const values: Array<readonly [string, string | number | undefined]> = [
    ['arch', 'amd64'],
    ['cores', settings.cores],
    ['cpulimit', settings.cpuLimit],
    ['features', 'nesting=1'],
    ['hostname', settings.name.replace(/[^A-Za-z0-9.-]/g, '-')],
    ['lock', settings.lock],
    ['memory', settings.memoryMib],
    ['net0', `name=eth0,bridge=vmbr0,hwaddr=${hardware},ip=${address},type=veth`],
    ['onboot', 1],
    ['ostype', 'debian'],
    ['rootfs', settings.rootfs ?? `local-lvm:vm-${vmid}-disk-0,size=8G`],
    ['swap', settings.swapMib ?? 512],
    ['tags', settings.tags],
    ['unprivileged', 1],
  ];
  const rows = values.flatMap(([key, value]) => (value === undefined ? [] : `${key}: ${value}\n`));
  return rows.join('');
}
