import { readConfiguration, renderProblems } from '../app/configuration.ts';
import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { openNamed } from '../app/named-node.ts';
import type { Signals } from '../app/scheduler.ts';
import { seeingAll } from '../config/resolve.ts';
import { notesIn, withNote } from '../core/guest-notes.ts';
import { guestLabel } from '../core/guest-words.ts';
import { plainText } from '../core/plain-text.ts';
import type { Reading } from '../core/reading.ts';
import type { Vmid } from '../core/units.ts';
import { setNotes } from '../loop/write-note.ts';
import type { GuestFile } from '../node/port.ts';
import type { ActingWorld } from '../ports.ts';
import type { Arguments } from './arguments.ts';
import { nowhere } from './ask.ts';

/** `release --notes`: what `write_notes` has written goes, of all guests that a node has now. */
export async function releaseNotes(
  given: Arguments,
  context: ProcessContext,
  signals: Signals,
): Promise<ExitCode> {
  const { stdout, stderr } = context;
  const loaded = readConfiguration(given, context);
  if (!loaded.ok) {
    stderr.write(renderProblems(loaded));
    return EXIT.configuration;
  }
  const quiet = { ...context, stdout: nowhere() };
  const open = await openNamed(given.node, seeingAll(loaded.config), quiet);
  if (typeof open === 'string') {
    stderr.write(`${plainText(open)}\n`);
    return EXIT.failure;
  }
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) signals.on(signal, () => stop.abort());
  let code: ExitCode = EXIT.fine;
  try {
    const { world } = open;
    const listed = world.guests.list();
    if (!listed.ok) {
      stderr.write(`The guests cannot be seen: ${plainText(listed.detail)}\n`);
      return EXIT.failure;
    }
    for (const vmid of [...listed.value.keys()].sort((a, b) => a - b)) {
      if (stop.signal.aborted) return EXIT.failure;
      const said = await releaseOne(world, vmid, given.dryRun, stop.signal);
      if (said === undefined) continue;
      (said.ok ? stdout : stderr).write(`${plainText(said.text)}\n`);
      if (!said.ok) code = EXIT.failure;
    }
  } finally {
    await open.close();
  }
  return code;
}

interface Said {
  readonly ok: boolean;
  readonly text: string;
}

/** Returns nothing of a guest that has none. */
async function releaseOne(
  world: ActingWorld,
  vmid: Vmid,
  dryRun: boolean,
  stop: AbortSignal,
): Promise<Said | undefined> {
  await world.inspect(vmid);
  const file: Reading<GuestFile> = world.guests.read(vmid);
  if (!file.ok) {
    if (file.why === 'absent') return undefined;
    return { ok: false, text: `Guest ${vmid}: its notes cannot be read: ${file.detail}.` };
  }
  const notes = notesIn(file.value.content);
  const wanted = notes === undefined ? undefined : withNote(notes, undefined);
  if (wanted === undefined || (wanted.ok && wanted.notes === notes)) return undefined;
  const { config } = file.value;
  const who = `${guestLabel(config)} (${config.name})`;
  if (wanted.ok && dryRun) {
    return { ok: true, text: `${who}: its last change would be removed from its notes.` };
  }
  const done = wanted.ok ? await setNotes(world, vmid, undefined, stop) : wanted;
  return done.ok
    ? { ok: true, text: `${who}: its last change was removed from its notes.` }
    : { ok: false, text: `${who}: its notes stay as they are: ${done.why}.` };
}
