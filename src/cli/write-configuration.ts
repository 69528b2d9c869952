import type { ProcessContext } from '../app/context.ts';
import { writeStamped } from '../app/mode-switch.ts';

/** Writes a configuration with a backup of the one before, and says so; false where it failed. */
export function putConfiguration(
  named: string,
  text: string,
  { paths, clock, stdout, stderr }: ProcessContext,
  // A path that is relative is one of the admin's, not of the tree under --sysroot.
  path = named.startsWith('/') ? paths.at(named) : named,
): boolean {
  const written = writeStamped(path, text, { clock });
  if (!written.ok) {
    stderr.write(`${written.message}.\n`);
    return false;
  }
  if (written.backup !== undefined) stdout.write(`What was there is kept as ${written.backup}\n`);
  stdout.write(`Written: ${path}\n`);
  return true;
}
