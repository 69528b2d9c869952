import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { filesBelow } from '../files-below.ts';

/** A file that the daemon has left on the node. */
export interface Found {
  /** Below the root, e.g. `var/log/lxc_autoscale.log`. */
  readonly path: string;
  readonly bytes: number;
  text(): string;
}

/** Every file below `var` and `run`, or the one file. */
export function filesOf(root: string, only?: string): readonly Found[] {
  if (only !== undefined) return existsSync(join(root, only)) ? [found(root, only)] : [];
  return ['var', 'run'].flatMap((directory) =>
    filesBelow(join(root, directory)).map((name) => found(root, join(directory, name))),
  );
}

const found = (root: string, path: string): Found => ({
  path,
  bytes: statSync(join(root, path)).size,
  text: () => readFileSync(join(root, path), 'utf8'),
});
