import type { ProcessContext } from '../app/context.ts';
import { LONGEST_NOTES, withNote, withoutNote } from '../core/datacenter-note.ts';
import { isLoopback } from '../core/listen-address.ts';
import { type Milliseconds, milliseconds } from '../core/units.ts';
import { commandEnvironment, outcomeOf } from '../node/local/outcome-values.ts';
import { complaintIn } from '../node/pct-words.ts';
import { runCommand } from '../os/command.ts';
import { asObject, parseJsonObject } from '../os/json-object.ts';

/** The link to the page in the notes of the datacenter, by `pvesh`; only if somebody says so. */

export type NoteResult = { readonly ok: boolean; readonly says: string };

const LIMIT_MS: Milliseconds = milliseconds(30_000);
const PATH = '/cluster/options';

/** @param url undefined: the link goes */
export async function changeNote(
  url: string | undefined,
  context: ProcessContext,
): Promise<NoteResult> {
  const refuse = (why: string): NoteResult => ({ ok: false, says: `${UNCHANGED} ${why}.` });
  const node = context.paths.nodeName();
  if (url !== undefined && isLoopback(hostOf(url))) {
    return refuse(`${url} can be opened on this host only; set http_hosts to a name of it`);
  }
  const before = await notesNow(context);
  if (!before.ok) return refuse(before.why);
  const { notes } = before;
  const wanted = url === undefined ? withoutNote(notes, node) : withNote(notes, node, url);
  if (wanted === notes) return { ok: true, says: 'The notes of the datacenter are so already.' };
  if (wanted.length > LONGEST_NOTES) return refuse(`they would be longer than ${LONGEST_NOTES}`);
  const option = wanted === '' ? ['--delete', 'description'] : ['--description', wanted];
  const set = await pvesh(['set', PATH, ...option], context);
  const after = await notesNow(context);
  // Proxmox VE ends its last line by itself.
  const isNow = (text: string): boolean => after.ok && after.notes.trimEnd() === text.trimEnd();
  if (isNow(wanted)) {
    const done = url === undefined ? 'has no link to the page any more' : 'has a link to the page';
    return { ok: true, says: `The datacenter ${done} in its notes.` };
  }
  if (!set.ok && isNow(notes)) return refuse(set.why);
  const why = set.ok ? '' : ` (${set.why})`;
  const seen = after.ok
    ? 'do not say what was written there'
    : `may have been changed, and cannot be read: ${after.why}`;
  return { ok: false, says: `The notes of the datacenter ${seen}${why}. ${LOOK}` };
}

const UNCHANGED = 'The notes of the datacenter were not changed:';
const LOOK = `Look at them: pvesh get ${PATH}`;

const hostOf = (url: string): string => new URL(url).hostname.replace(/^\[|\]$/g, '');

type Notes =
  | { readonly ok: true; readonly notes: string }
  | { readonly ok: false; readonly why: string };

async function notesNow(context: ProcessContext): Promise<Notes> {
  const got = await pvesh(['get', PATH, '--output-format', 'json'], context);
  if (!got.ok) return got;
  const options = asObject(parseJsonObject(got.stdout));
  if (options === undefined) return { ok: false, why: 'what pvesh says of them is not understood' };
  const { description: notes = '' } = options;
  if (typeof notes === 'string') return { ok: true, notes };
  return { ok: false, why: 'what pvesh says of them is no text' };
}

type Answered =
  | { readonly ok: true; readonly stdout: string }
  | { readonly ok: false; readonly why: string };

async function pvesh(args: readonly string[], { env }: ProcessContext): Promise<Answered> {
  const result = await runCommand('pvesh', args, {
    timeLimitMs: LIMIT_MS,
    stopGraceMs: 0,
    env: commandEnvironment(env),
    stop: new AbortController().signal,
    outputLimitBytes: 4 * LONGEST_NOTES,
  });
  const words = 'stderr' in result ? { ...result, stderr: complaintIn(result.stderr) } : result;
  const outcome = outcomeOf(words, `pvesh ${args.slice(0, 2).join(' ')}`, LIMIT_MS);
  if (outcome.kind !== 'done') return { ok: false, why: outcome.message };
  return { ok: true, stdout: 'stdout' in result ? result.stdout : '' };
}
