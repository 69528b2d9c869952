import type { Change } from './decision.ts';
import { explainChange, withUnit } from './explain.ts';
import type { Milliseconds } from './units.ts';

/**
 * `write_notes`: the last change of a guest, between two marks in its notes. All other text stays
 * byte for byte. Nothing is ever decided by it, since others write in the notes too. Pure.
 */

const BEGIN = '<!-- lxc-autoscale -->';
const END = '<!-- /lxc-autoscale -->';
const GAP = '\n\n';

/** In characters. Source: `maxLength` of `description`, pve-container and qemu-server. */
export const LONGEST_NOTES = 8192;
const LONGEST_LINE = 1000;

/** Nothing of these means anything in Markdown, in the middle of a line. */
const PLAIN = "A-Za-z0-9 .,;:%()'+-";
const OTHERS = new RegExp(`[^${PLAIN}]+`, 'g');
const LINE = new RegExp(`^lxc-autoscale, [0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{5} UTC: [${PLAIN}]+$`);

/** The line between the marks. Names that others have given do not come into it. */
export function noteLine(changes: readonly Change[], wallMs: Milliseconds): string {
  const time = new Date(wallMs).toISOString().slice(0, 16).replace('T', ' ');
  const words = changes.map((change) => {
    const { resource, unit = resource, measured, after, askedBy } = change;
    const why = askedBy === undefined ? explainChange(change) : 'it was asked for by hand';
    return `${unit} from ${measured.before} to ${withUnit(resource, after)}, since ${why}`;
  });
  const plain = words.join('. And ').replaceAll(OTHERS, ' ');
  return `lxc-autoscale, ${time} UTC: ${plain}`.slice(0, LONGEST_LINE).trimEnd();
}

export type Noted =
  | { readonly ok: true; readonly notes: string }
  /** Why the notes stay as they are, as the end of a sentence, and what to do. */
  | { readonly ok: false; readonly why: string };

const UNCLEAR =
  'the text between its marks is not that of lxc-autoscale; ' +
  `remove ${BEGIN}, ${END} and what is between them to have it written again`;

/** @param line of `noteLine`; undefined: the block goes */
export function withNote(notes: string, line: string | undefined): Noted {
  const place = placeOf(notes);
  if (place === 'unclear') return { ok: false, why: UNCLEAR };
  const wanted = line === undefined ? without(notes, place) : written(notes, place, line);
  // Perl counts characters, not the units of UTF-16.
  if (wanted === notes || [...wanted].length <= LONGEST_NOTES) return { ok: true, notes: wanted };
  const most = `Proxmox VE takes ${LONGEST_NOTES} characters`;
  return { ok: false, why: `there is no room left in them: ${most}` };
}

interface Place {
  readonly start: number;
  readonly end: number;
}

function written(notes: string, place: Place | undefined, line: string): string {
  const block = `${BEGIN}\n${line}\n${END}`;
  if (place === undefined) return notes === '' ? block : `${notes}${GAP}${block}`;
  return notes.slice(0, place.start) + block + notes.slice(place.end);
}

function without(notes: string, place: Place | undefined): string {
  if (place === undefined) return notes;
  const before = notes.slice(0, place.start);
  const after = notes.slice(place.end);
  if (before.endsWith(GAP)) return before.slice(0, -GAP.length) + after;
  return before + after.replace(/^\n/, '');
}

/** Only whole lines in the form that is written here are ours, and only if there is one block. */
function placeOf(notes: string): Place | 'unclear' | undefined {
  const [start, more] = [notes.indexOf(BEGIN), notes.indexOf(END)];
  if (start < 0 && more < 0) return undefined;
  const isOne = start === notes.lastIndexOf(BEGIN) && more === notes.lastIndexOf(END);
  if (!isOne || start < 0 || more < start) return 'unclear';
  const end = more + END.length;
  const isWhole = [notes[start - 1], notes[end]].every((one) => one === undefined || one === '\n');
  const inside = notes.slice(start + BEGIN.length, more);
  const isOurs = inside.startsWith('\n') && inside.endsWith('\n') && LINE.test(inside.slice(1, -1));
  return isWhole && isOurs ? { start, end } : 'unclear';
}

const HEADING = /^\[[a-z][a-z0-9_:-]+\]\s*$/i;

/**
 * The notes in the configuration of a guest, without the line ends after them, which Proxmox VE
 * does not keep. undefined: they are no UTF-8, or in a form that Proxmox VE would not write so.
 *
 * Source: `parse_pct_config` and `parse_vm_config`; `decode_text` of pve-common.
 */
export function notesIn(content: Uint8Array): string | undefined {
  const lines: string[] = [];
  for (const line of latin1(content).split('\n')) {
    if (HEADING.test(line)) break;
    if (line.startsWith('[') || line.startsWith('description:')) return undefined;
    if (line.startsWith('#')) lines.push(line.slice(1));
  }
  const encoded = lines.join('\n').replace(/%([0-9A-Fa-f]{2})/g, fromHex);
  try {
    const bytes = Uint8Array.from(encoded, (one) => one.charCodeAt(0));
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.replace(/\n+$/, '');
  } catch {
    return undefined;
  }
}

/** The lines of notes in a configuration. Source: `encode_text` of pve-common. */
export const notesLines = (notes: string): readonly string[] =>
  notes === '' ? [] : notes.split('\n').map((line) => `#${encoded(line)}`);

function encoded(line: string): string {
  let text = '';
  for (const byte of new TextEncoder().encode(line)) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25 && byte !== 0x3a;
    const hex = byte.toString(16).toUpperCase().padStart(2, '0');
    text += isPlain ? String.fromCharCode(byte) : `%${hex}`;
  }
  return text;
}

const fromHex = (_: string, hex: string): string => String.fromCharCode(Number.parseInt(hex, 16));

/** Each byte as a character. */
function latin1(content: Uint8Array): string {
  let text = '';
  for (const byte of content) text += String.fromCharCode(byte);
  return text;
}
