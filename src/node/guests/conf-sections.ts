import { isDisk } from '../../core/groups/disk-wish.ts';
import type { SnapshotSeen } from '../../core/groups/group-view.ts';
import { type Mib, mib } from '../../core/units.ts';

/** The sections of a guest's configuration: the live one, what is pending, and the snapshots. */

export interface ConfSection {
  readonly heading: string;
  /** Of the description, decoded. */
  readonly lines: readonly string[];
  readonly values: ReadonlyMap<string, string>;
}

export const EMPTY_SECTION: ConfSection = { heading: '', lines: [], values: new Map() };

/** The live section first, whose heading is empty. */
export function sectionsOf(text: string): readonly ConfSection[] {
  const sections = [{ heading: '', lines: [] as string[], values: new Map<string, string>() }];
  for (const raw of text.split('\n')) {
    const line = raw.trimEnd();
    const heading = /^\[(.+)\]$/.exec(line)?.[1];
    if (heading !== undefined) sections.push({ heading, lines: [], values: new Map() });
    const section = sections.at(-1);
    const [, key, value] = /^([a-z][a-z_-]*[0-9]*):\s*(.*)$/s.exec(line) ?? [];
    if (line.startsWith('#')) section?.lines.push(decoded(line.slice(1)));
    else if (key !== undefined && value !== undefined) section?.values.set(key, value);
  }
  return sections;
}

/** Descriptions are kept percent-encoded; what is no encoding is text. */
function decoded(line: string): string {
  try {
    return decodeURIComponent(line);
  } catch {
    return line;
  }
}

const UNIT_MIB: Readonly<Record<string, number>> = { K: 1 / 1024, M: 1, G: 1024, T: 1024 * 1024 };

/**
 * `size=` of a volume in MiB. undefined: in another form than Proxmox VE writes it; null: there is
 * none.
 */
export function sizeMibIn(volume: string): number | undefined | null {
  const size = /(?:^|,)size=([^,]*)/.exec(volume)?.[1];
  if (size === undefined) return null;
  const [, number, unit = ''] = /^([0-9]{1,12}(?:\.[0-9]{1,6})?)([KMGT]?)$/.exec(size) ?? [];
  return number === undefined ? undefined : Number(number) * (UNIT_MIB[unit] ?? 1);
}

/** Of all disks that have one, by their keys. */
export function sizesIn({ values }: ConfSection): ReadonlyMap<string, Mib> {
  const found = [...values].flatMap(([key, value]) => {
    const size = isDisk(key, value) ? sizeMibIn(value) : null;
    return size === null || size === undefined ? [] : [[key, mib(size)] as const];
  });
  return new Map(found);
}

/** By name. A snapshot has a time, or was cut off while it was taken or removed. */
export function snapshotsIn(sections: readonly ConfSection[]): ReadonlyMap<string, SnapshotSeen> {
  const found = sections
    .filter(({ heading }) => !/^(?:|pending|pve:pending|special:.*)$/i.test(heading))
    .map(({ heading, values }) => {
      const unfinished = values.has('snapstate');
      return [heading, { snaptime: values.get('snaptime'), unfinished }] as const;
    });
  return new Map(found);
}

/** Of a container. */
export const isVolume = (key: string): boolean => key === 'rootfs' || /^mp[0-9]+$/.test(key);

/** Of each volume its storage; of what is mounted from the host, its path. */
export function storagesOf(values: ReadonlyMap<string, string>): readonly string[] {
  const volumes = [...values].filter(([key, value]) => isVolume(key) || isDisk(key, value));
  return volumes.flatMap(([, value]) => {
    const [source = ''] = value.replace(/^volume=/, '').split(',');
    return source.startsWith('/') ? [source] : (/^([^:]+):/.exec(source)?.[1] ?? []);
  });
}

/** Whatever it says: one that is not understood is no reason to remove a guest. */
export const isProtected = ({ values }: ConfSection): boolean =>
  !/^(0|no|off|false)?$/i.test(values.get('protection') ?? '');
