/**
 * The units that the program speaks in, as branded types, and the only conversions between them.
 * A brand costs nothing at run time and keeps bytes from being handed to what expects MiB.
 */

declare const unit: unique symbol;
type Branded<T, Name extends string> = T & { readonly [unit]: Name };

/** CPU time per wall time: 1.5 is one and a half CPUs busy. Fractions are allowed. */
export type Cores = Branded<number, 'cores'>;
/** Bytes as the kernel counts them. */
export type Bytes = Branded<number, 'bytes'>;
/** 2^20 bytes: the unit of `memory:` and `swap:` in a container's configuration. */
export type Mib = Branded<number, 'MiB'>;
export type Milliseconds = Branded<number, 'ms'>;
/** CPU time in microseconds, as in `usage_usec` of `cpu.stat`. */
export type Microseconds = Branded<number, 'us'>;
/** A share of a whole: 0 is nothing, 1 is all of it. */
export type Ratio = Branded<number, 'ratio'>;
/** A container's id on the cluster, 100 to 999,999,999. */
export type Vmid = Branded<number, 'vmid'>;

export const cores = (value: number): Cores => value as Cores;
export const bytes = (value: number): Bytes => value as Bytes;
export const mib = (value: number): Mib => value as Mib;
export const milliseconds = (value: number): Milliseconds => value as Milliseconds;
export const microseconds = (value: number): Microseconds => value as Microseconds;
export const ratio = (value: number): Ratio => value as Ratio;

const BYTES_PER_MIB = 1024 * 1024;

export const mibToBytes = (value: Mib): Bytes => bytes(value * BYTES_PER_MIB);
/** Not rounded: a limit of 512.5 MiB stays one. */
export const bytesToMib = (value: Bytes): Mib => mib(value / BYTES_PER_MIB);
/** `/proc/meminfo` counts in units of 1024 bytes, whatever its "kB" says. */
export const kibToMib = (kib: number): Mib => mib(kib / 1024);
export const percentToRatio = (percent: number): Ratio => ratio(percent / 100);
export const secondsToMs = (seconds: number): Milliseconds => milliseconds(seconds * 1000);

/** What a Date holds at most. Source: ECMAScript, 21.4.1.1. */
const LATEST_MS = 8.64e15;

/** Whether it is a time since 1970 that can be shown, in milliseconds. */
export const isMoment = (value: unknown): value is number =>
  typeof value === 'number' && value >= 0 && value <= LATEST_MS;

const SMALLEST_VMID = 100;
const LARGEST_VMID = 999_999_999;

/**
 * Reads a container id as Proxmox VE writes it: 3 to 9 digits, no sign, no blank, no leading zero.
 * Returns undefined for all else (`"100\n"`, `"0100"`, `"1e3"`), since an id that is almost right
 * names another container or none.
 */
export function parseVmid(text: string): Vmid | undefined {
  if (!/^[1-9][0-9]{2,8}(?![\s\S])/.test(text)) return undefined;
  const value = Number(text);
  return value >= SMALLEST_VMID && value <= LARGEST_VMID ? (value as Vmid) : undefined;
}
