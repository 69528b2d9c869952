import { parseVmid, type Vmid } from '../units.ts';

/**
 * The line of our own in the description of a member, and of a snapshot, that this program made. It
 * says so to whoever comes after: to a later life of this program, and to a person. A line that was
 * changed by hand, or copied along with a clone of the member, no longer counts as ours.
 */

export const MEMBER_STATES = ['cloning', 'new', 'serving', 'leaving', 'failed'] as const;

/**
 * `cloning`: `pct clone` has written it, and nothing else is done yet. `new`: configured, on its
 * way into service. `leaving`: on its way out, or kept for reuse once it is stopped. `failed`: it
 * never came into service, or does not do its service.
 */
export type MemberState = (typeof MEMBER_STATES)[number];

export interface MemberMarker {
  /** The group's label. */
  readonly group: string;
  readonly vmid: Vmid;
  readonly state: MemberState;
  /** Whether it was ever in service. */
  readonly served: boolean;
  /** Seconds since 1970. */
  readonly madeS: number;
  /** The address that it was given; undefined where it asks for one (DHCP). */
  readonly address: string | undefined;
}

export interface SnapshotMarker {
  readonly group: string;
  readonly name: string;
  readonly madeS: number;
}

const PREFIX = 'lxc-autoscale:';

export function memberLine(marker: MemberMarker): string {
  const { group, vmid, state, served, madeS, address } = marker;
  const who = `group=${group} vmid=${vmid}`;
  const fields = `${who} state=${state} served=${served ? 1 : 0} made=${madeS}`;
  return signed(address === undefined ? fields : `${fields} ip=${address}`);
}

export const snapshotLine = ({ group, name, madeS }: SnapshotMarker): string =>
  signed(`group=${group} snapshot=${name} made=${madeS}`);

/** The marker of the container with this id; undefined where there is none that is whole. */
export function memberMarker(vmid: Vmid, lines: readonly string[]): MemberMarker | undefined {
  const fields = fieldsIn(lines);
  const group = fields?.get('group');
  const state = MEMBER_STATES.find((one) => one === fields?.get('state'));
  const madeS = wholeNumber(fields?.get('made'));
  if (fields === undefined || group === undefined) return undefined;
  if (state === undefined || madeS === undefined) return undefined;
  if (parseVmid(fields.get('vmid') ?? '') !== vmid) return undefined;
  const served = fields.get('served') === '1';
  return { group, vmid, state, served, madeS, address: fields.get('ip') };
}

export function snapshotMarker(name: string, lines: readonly string[]): SnapshotMarker | undefined {
  const fields = fieldsIn(lines);
  const group = fields?.get('group');
  const madeS = wholeNumber(fields?.get('made'));
  if (group === undefined || madeS === undefined) return undefined;
  return fields?.get('snapshot') === name ? { group, name, madeS } : undefined;
}

const EXPLANATION = [
  'Made by lxc-autoscale, which may stop or destroy this container when it is not needed.',
  'To keep it, remove or change the line that follows.',
] as const;

/** A description with the marker as it is now; what a person wrote into it stays. */
export function describedBy(marker: MemberMarker, lines: readonly string[] = []): string {
  const own: readonly string[] = EXPLANATION;
  const others = lines.filter((line) => !line.startsWith(PREFIX) && !own.includes(line));
  return [...others, ...EXPLANATION, memberLine(marker)].join('\n');
}

function signed(fields: string): string {
  return `${PREFIX} ${fields} check=${checksum(fields)}`;
}

/** The fields of the one line that is ours; undefined where there is none, or more than one. */
function fieldsIn(lines: readonly string[]): ReadonlyMap<string, string> | undefined {
  const [line, second] = lines.filter((each) => each.startsWith(PREFIX));
  if (line === undefined || second !== undefined) return undefined;
  const match = /^lxc-autoscale: (.*) check=([0-9a-f]{8})$/.exec(line);
  const [, text = '', check] = match ?? [];
  if (check !== checksum(text)) return undefined;
  const pairs = text.split(' ').map((word): [string, string] => {
    const at = word.indexOf('=');
    return [word.slice(0, at), word.slice(at + 1)];
  });
  return new Map(pairs);
}

const wholeNumber = (text: string | undefined): number | undefined =>
  text !== undefined && /^[0-9]{1,12}$/.test(text) ? Number(text) : undefined;

/** FNV-1a, 32 bits: against slips of the hand, not against intent. */
function checksum(text: string): string {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return (hash >>> 0).toString(16).padStart(8, '0');
}
