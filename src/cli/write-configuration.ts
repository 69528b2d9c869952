import { accessSync, constants, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { ProcessContext } from '../app/context.ts';
import { writeStamped } from '../app/mode-switch.ts';
import { probe } from '../os/answering-files.ts';
import { describeError } from '../os/os-error.ts';

/** A path that is relative is one of the admin's, not of the tree under --sysroot. */
const pathOf = (named: string, { paths }: ProcessContext): string =>
  named.startsWith('/') ? paths.at(named) : named;

/** Why nothing could be written there, before anybody waits for it; undefined: it may go well. */
export function noPlaceFor(named: string, context: ProcessContext): string | undefined {
  const path = pathOf(named, context);
  const why = whyNotInto(path);
  return why && `${path} could not be written: ${why}. Nothing was measured.`;
}

function whyNotInto(path: string): string | undefined {
  const directory = dirname(path);
  if (probe(directory) !== 'there') return 'its directory does not exist';
  const isDirectory = (one: string): boolean =>
    statSync(one, { throwIfNoEntry: false })?.isDirectory() === true;
  if (!isDirectory(directory)) return `${directory} is not a directory`;
  if (isDirectory(path)) return 'it is a directory; write the name of a file behind it';
  try {
    accessSync(directory, constants.W_OK);
    return undefined;
  } catch (error) {
    return `${directory}: ${describeError(error)}`;
  }
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
