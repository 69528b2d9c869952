import { dirname } from 'node:path';
import type { ProcessContext } from '../app/context.ts';
import { writeStamped } from '../app/mode-switch.ts';
import { probe } from '../os/answering-files.ts';

/** A path that is relative is one of the admin's, not of the tree under --sysroot. */
const pathOf = (named: string, { paths }: ProcessContext): string =>
  named.startsWith('/') ? paths.at(named) : named;

/** Why nothing could be written there, before anybody waits for it; undefined: it may go well. */
export function noPlaceFor(named: string, context: ProcessContext): string | undefined {
  const path = pathOf(named, context);
  if (probe(dirname(path)) === 'there') return undefined;
  return `${path} could not be written: its directory does not exist. Nothing was measured.`;
}

/** Writes a configuration with a backup of the one before, and says so; false where it failed. */
export function putConfiguration(
  named: string,
  text: string,
  context: ProcessContext,
  path = pathOf(named, context),
): boolean {
  const { clock, stdout, stderr } = context;
  const written = writeStamped(path, text, { clock });
  if (!written.ok) {
    stderr.write(`${written.message}.\n`);
    return false;
  }
  if (written.backup !== undefined) stdout.write(`What was there is kept as ${written.backup}\n`);
  stdout.write(`Written: ${path}\n`);
  return true;
}
