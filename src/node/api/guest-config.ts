import { notesLines } from '../../core/guest-notes.ts';
import type { GuestConfig } from '../../core/observation.ts';
import { missing, present, type Reading } from '../../core/reading.ts';
import { parseGuestConfig } from '../guests/lxc-conf.ts';
import { parseMachineConfig } from '../guests/qemu.ts';
import type { GuestFile } from '../port.ts';
import type { SeenGuest } from './resources.ts';
import { flagOf, type Row, rowOf, rowsOf, textOf } from './values.ts';

/**
 * The configuration of a guest as the API hands it out, in the form of its file: so there is
 * one parser, and one form of a backup. The digest is that of the file itself, which Proxmox VE
 * tells.
 *
 * @param config `data` of `.../config?current=1`: what is in force
 * @param pending `data` of `.../pending`: what waits for the next start, among all else
 */
export function guestFile(
  { vmid, kind }: Pick<SeenGuest, 'vmid' | 'kind'>,
  config: unknown,
  pending: unknown,
): Reading<GuestFile> {
  const settings = rowOf(config);
  const waiting = rowsOf(pending);
  const digest = textOf(settings?.['digest']);
  if (settings === undefined || waiting === undefined || !/^[0-9a-f]{40}$/.test(digest ?? '')) {
    return missing('malformed', `${vmid}: its configuration is not understood`);
  }
  if (waiting.find((row) => row['key'] === 'digest')?.['value'] !== digest) {
    return missing('unreadable', `${vmid}: its configuration changed while it was read`);
  }
  const lines = [...linesOf(settings), ...pendingLines(HEADINGS[kind], waiting)];
  const unfit = lines.find((line) => /[\n\r\0]/.test(line));
  if (unfit !== undefined) {
    return missing('malformed', `${vmid}: a setting has more than a line`);
  }
  const content = Buffer.from(`${lines.join('\n')}\n`);
  const parsed: Reading<GuestConfig> =
    kind === 'qemu'
      ? parseMachineConfig(vmid, content.toString('utf8'), digest ?? '')
      : parseGuestConfig(vmid, content);
  if (!parsed.ok) return parsed;
  const whole: GuestConfig = { ...parsed.value, digest: digest ?? '' };
  return present({ config: whole, content: new Uint8Array(content) });
}

const HEADINGS = { lxc: '[pve:pending]', qemu: '[PENDING]' } as const;

/** Not lines of the file, or in another form there. */
const OTHERS: ReadonlySet<string> = new Set(['digest', 'description', 'lxc']);

function linesOf(settings: Row): readonly string[] {
  const notes = textOf(settings['description'])?.replace(/\n+$/, '') ?? '';
  const raw = Array.isArray(settings['lxc']) ? settings['lxc'] : [];
  return [
    ...notesLines(notes),
    ...Object.entries(settings)
      .filter(([key]) => !OTHERS.has(key))
      .map(([key, value]) => `${key}: ${value}`)
      .sort(),
    ...raw.filter(Array.isArray).map(([key, value]) => `${key}: ${value}`),
  ];
}

function pendingLines(heading: string, rows: readonly Row[]): readonly string[] {
  const lines = rows.flatMap((row) => {
    if (row['pending'] !== undefined) return [`${row['key']}: ${row['pending']}`];
    return flagOf(row['delete']) || row['delete'] === 2 ? [`delete: ${row['key']}`] : [];
  });
  return lines.length === 0 ? [] : ['', heading, ...lines];
}
