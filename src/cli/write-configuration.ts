import type { ProcessContext } from '../app/context.ts';
import { createTimestamp } from '../os/timestamp.ts';
import { writeConfiguration } from '../store/own-config.ts';

/** Writes a configuration with a backup of the one before, and says so; false where it failed. */
export function putConfiguration(
  named: string,
  text: string,
  { paths, clock, stdout, stderr }: ProcessContext,
  // A path that is relative is one of the admin's, not of the tree under --sysroot.
  path = named.startsWith('/') ? paths.at(named) : named,
): boolean {
  const stamp = createTimestamp(undefined)(clock.wallMs()).replace(/[-:]/g, '').replace(' ', '-');
  const written = writeConfiguration(path, text, stamp);
  if (!written.ok) {
    stderr.write(`${written.message}.\n`);
    return false;
  }
  if (written.backup !== undefined) stdout.write(`What was there is kept as ${written.backup}\n`);
  stdout.write(`Written: ${path}\n`);
  return true;
}
