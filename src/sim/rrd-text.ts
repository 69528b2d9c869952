/** `/etc/pve/.rrd`, as the pvestatd of Proxmox VE 9 tells of virtual machines. */

export interface RrdLine {
  readonly vmid: number;
  readonly name: string;
  readonly cpus: number;
  readonly maxMib: number;
  readonly usedMib: number;
  /** What QEMU holds of the host's memory. */
  readonly heldMib: number;
}

const MIB = 1024 * 1024;
const inBytes = (mib: number): number => Math.floor(mib) * MIB;
/** Of CPU, memory and I/O, some and full. */
const NO_PRESSURE = '0:0:0:0:0:0';

export const rrdText = (lines: readonly RrdLine[], wallS: number): string =>
  lines
    .map(({ vmid, name, cpus, maxMib, usedMib, heldMib }) => {
      const memory = `${inBytes(maxMib)}:${inBytes(usedMib)}`;
      const rest = `8589934592:0:0:0:0:0:${inBytes(heldMib)}:${NO_PRESSURE}`;
      return `pve-vm-9.0/${vmid}:3600:${name}:running:0:${wallS}:${cpus}:0.1:${memory}:${rest}\n`;
    })
    .join('');
