import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { filesBelow } from '../files-below.ts';

/** What a build has left on the stage, as one file: by its path the text of each, or its bytes. */
export type RecordedTree = Readonly<Record<string, string | { readonly base64: string }>>;

/** By the times of files, which are the real ones. */
const LEFT_OUT = 'var/lib/lxc_autoscale/leases/';

/** What of the node goes into it. */
const KEPT = [
  'etc/lxc_autoscale',
  'etc/pve/nodes/pve1/lxc',
  'etc/pve/nodes/pve1/qemu-server',
  'etc/pve/priv/lxc_autoscale',
  'var/lib/lxc_autoscale',
  'var/log/lxc_autoscale.json',
] as const;

export function treeOf(root: string): RecordedTree {
  const paths = KEPT.filter((kept) => existsSync(join(root, kept))).flatMap((kept) =>
    statSync(join(root, kept)).isFile()
      ? [kept]
      : filesBelow(join(root, kept)).map((name) => join(kept, name)),
  );
  return Object.fromEntries(
    paths
      .sort()
      .filter((path) => !path.startsWith(LEFT_OUT))
      .map((path) => {
        const bytes = readFileSync(join(root, path));
        return [path, path.endsWith('.gz') ? { base64: bytes.toString('base64') } : String(bytes)];
      }),
  );
}

/** What was recorded of a build; see `npm run test:upgrade -- --record`. */
export const recordedTree = (commit: string): RecordedTree =>
  JSON.parse(readFileSync(new URL(`../fixtures/upgrade/${commit}.json`, import.meta.url), 'utf8'));

/** The text of a file of it; of one with a name that ends in .gz, what is packed in it. */
export function textIn(tree: RecordedTree, path: string): string {
  const content = tree[path];
  if (content === undefined) throw new Error(`${path} was not recorded`);
  if (typeof content === 'string') return content;
  return gunzipSync(Buffer.from(content.base64, 'base64')).toString('utf8');
}

/** Configurations of guests, by their ids. */
export function confsIn(tree: RecordedTree, kind: 'lxc' | 'qemu-server'): Map<number, string> {
  const start = `etc/pve/nodes/pve1/${kind}/`;
  const paths = Object.keys(tree).filter((path) => path.startsWith(start));
  return new Map(
    paths.map((path) => [Number.parseInt(path.slice(start.length), 10), textIn(tree, path)]),
  );
}

export function layTree(root: string, tree: RecordedTree): void {
  for (const [path, content] of Object.entries(tree)) {
    mkdirSync(dirname(join(root, path)), { recursive: true, mode: 0o700 });
    const bytes =
      typeof content === 'string' ? Buffer.from(content) : Buffer.from(content.base64, 'base64');
    writeFileSync(join(root, path), bytes, { mode: 0o600 });
  }
}
