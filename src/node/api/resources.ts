import { missing, present, type Reading } from '../../core/reading.ts';
import { type Bytes, bytes, parseVmid, type Ratio, ratio, type Vmid } from '../../core/units.ts';
import { dataOf, flagOf, numberOf, type Row, rowsOf, textOf } from './values.ts';

/** `GET /cluster/resources`: every guest and node of the cluster, as pvestatd saw them last. */

export type GuestKind = 'lxc' | 'qemu';

export interface SeenGuest {
  readonly vmid: Vmid;
  readonly node: string;
  readonly kind: GuestKind;
  readonly name: string;
  readonly tags: readonly string[];
  readonly isRunning: boolean;
  /** Of `maxCpus`. A mean of the last cycle of pvestatd, up to 10 s old. */
  readonly cpu: Ratio;
  readonly maxCpus: number;
  /**
   * Of a container `memory.current` less its file cache, to which tmpfs counts. Of a machine what
   * is not free in its guest, so that file cache counts as used; or else what QEMU holds.
   */
  readonly memory: Bytes;
  readonly maxMemory: Bytes;
  /** Seconds since its start. */
  readonly uptimeS: number;
  /** What changes if its configuration does, as far as it is told here. */
  readonly signature: string;
}

export interface SeenNode {
  readonly cpu: Ratio;
  readonly maxCpus: number;
  readonly memory: Bytes;
  readonly maxMemory: Bytes;
}

export interface ClusterSight {
  /** By the node that they are on. A node without guests need not be there. */
  readonly guests: ReadonlyMap<string, SeenGuests>;
  readonly nodes: ReadonlyMap<string, Reading<SeenNode>>;
}

/** Missing where one is listed and nothing else is known: its node is away, say. */
export type SeenGuests = Readonly<Record<GuestKind, ReadonlyMap<Vmid, Reading<SeenGuest>>>>;

export const NO_GUESTS: SeenGuests = { lxc: new Map(), qemu: new Map() };

/**
 * Missing if it is not understood as a whole. Rows of other types are passed over.
 *
 * @param text of the answer. Throws if it is none of Proxmox VE
 * @param before the last one, whose texts are kept where they are the same
 */
export function resourcesIn(text: string, before?: ClusterSight): Reading<ClusterSight> {
  try {
    return present(sightOf(rowsIn(text), before));
  } catch {
    return parseResources(dataOf(text), before);
  }
}

export function parseResources(data: unknown, before?: ClusterSight): Reading<ClusterSight> {
  const rows = rowsOf(data);
  if (rows === undefined) return missing('malformed', '/cluster/resources: is no list');
  return present(sightOf(rows, before));
}

const HEAD = '{"data":[';
const PIECE_CHARS = 64 * 1024;

/**
 * Piece by piece: all rows at once would be most of the memory that a look takes. Throws if it is
 * cut in the middle of something, since nothing that is cut there is JSON.
 */
function* rowsIn(text: string): Generator<Row> {
  if (!text.startsWith(HEAD)) throw new Error('it begins otherwise');
  let from = HEAD.length;
  for (;;) {
    const end = text.indexOf('},{', from + PIECE_CHARS);
    const piece = end < 0 ? `${HEAD}${text.slice(from)}` : `${HEAD}${text.slice(from, end)}}]}`;
    const rows = rowsOf(dataOf(piece));
    if (rows === undefined) throw new Error('it is no list');
    yield* rows;
    if (end < 0) return;
    from = end + 2;
  }
}

function sightOf(rows: Iterable<Row>, before: ClusterSight | undefined): ClusterSight {
  const guests = new Map<string, Record<GuestKind, Map<Vmid, Reading<SeenGuest>>>>();
  const nodes = new Map<string, Reading<SeenNode>>();
  const tagsOf = new Map<string, readonly string[]>();
  for (const row of rows) {
    const node = textOf(row['node']);
    if (node === undefined) continue;
    const kind = row['type'];
    if (kind === 'node') nodes.set(node, nodeOf(row, node));
    if (kind !== 'lxc' && kind !== 'qemu') continue;
    const vmid = parseVmid(`${row['vmid']}`);
    if (vmid === undefined) continue;
    const own = guests.get(node) ?? { lxc: new Map(), qemu: new Map() };
    const last = before?.guests.get(node)?.[kind].get(vmid);
    const known = last?.ok === true ? last.value : undefined;
    own[kind].set(vmid, guestOf(row, { vmid, node, kind, known, tagsOf }));
    guests.set(node, own);
  }
  return { guests, nodes };
}

const SIGNED = ['name', 'maxcpu', 'maxmem', 'lock', 'tags', 'template'] as const;

interface RowOf extends Pick<SeenGuest, 'vmid' | 'node' | 'kind'> {
  readonly known: SeenGuest | undefined;
  /** Of one look: most guests of a cluster have the tags of others. */
  readonly tagsOf: Map<string, readonly string[]>;
}

function guestOf(row: Row, { vmid, node, kind, known, tagsOf }: RowOf): Reading<SeenGuest> {
  const status = textOf(row['status']);
  if (status !== 'running' && status !== 'stopped') {
    const what = `guest ${vmid}: its state is not known`;
    return missing('unreadable', `${what}; does pvestatd run on ${node}?`);
  }
  const [cpu, maxCpus, memory, maxMemory] = figures(row);
  const uptimeS = numberOf(row['uptime']);
  if (
    cpu === undefined ||
    maxCpus === undefined ||
    memory === undefined ||
    maxMemory === undefined ||
    uptimeS === undefined
  ) {
    return missing('malformed', `guest ${vmid}: /cluster/resources lacks some of its figures`);
  }
  const signature = JSON.stringify([node, ...SIGNED.map((key) => row[key] ?? null)]);
  const same = known?.signature === signature ? known : undefined;
  return present({
    vmid,
    node,
    kind,
    isRunning: status === 'running',
    uptimeS,
    name: same?.name ?? textOf(row['name']) ?? '',
    tags: same?.tags ?? tagsIn(textOf(row['tags']) ?? '', tagsOf),
    cpu: ratio(cpu),
    maxCpus,
    memory: bytes(memory),
    maxMemory: bytes(maxMemory),
    signature: same?.signature ?? signature,
  });
}

const MOST_TAGS = 128;
function tagsIn(list: string, known: Map<string, readonly string[]>): readonly string[] {
  const tags = known.get(list) ?? list.split(/[;, ]+/, MOST_TAGS).filter((tag) => tag !== '');
  known.set(list, tags);
  return tags;
}

const figures = (row: Row): readonly (number | undefined)[] =>
  ['cpu', 'maxcpu', 'mem', 'maxmem'].map((key) => numberOf(row[key]));

function nodeOf(row: Row, node: string): Reading<SeenNode> {
  if (textOf(row['status']) !== 'online') {
    return missing('unreadable', `the node ${node} is ${textOf(row['status']) ?? 'not known'}`);
  }
  const [cpu, maxCpus, memory, maxMemory] = figures(row);
  if (
    cpu === undefined ||
    maxCpus === undefined ||
    memory === undefined ||
    maxMemory === undefined
  ) {
    const why =
      'it is shown to those who have Sys.Audit; `lxc-autoscale setup-token` prints what grants it';
    return missing('unreadable', `what the node ${node} has is not told; ${why}`);
  }
  const sizes = { memory: bytes(memory), maxMemory: bytes(maxMemory) };
  return present({ cpu: ratio(cpu), maxCpus, ...sizes });
}

/** `GET /cluster/status`: a node that stands alone has no line of a cluster, and can write. */
export function parseQuorum(data: unknown): Reading<boolean> {
  const rows = rowsOf(data);
  if (rows === undefined || rows.length === 0) {
    return missing('malformed', '/cluster/status: not understood');
  }
  const cluster = rows.find((row) => row['type'] === 'cluster');
  return present(cluster === undefined || flagOf(cluster['quorate']));
}
