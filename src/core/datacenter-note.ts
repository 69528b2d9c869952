/**
 * The link to the page in the notes of the datacenter: one line with a mark for each node. All
 * other text stays byte for byte. Nothing is ever decided by it.
 */

/** What `PUT /cluster/options` takes. */
export const LONGEST_NOTES = 64 * 1024;

const markOf = (node: string): string => `<!-- lxc-autoscale ${node} -->`;

const GAP = '\n\n';

/** @param url of the page, without a login */
export function withNote(notes: string, node: string, url: string): string {
  const line = `[lxc-autoscale on ${node}](${url}) ${markOf(node)}`;
  const at = placeOf(notes, node);
  if (at !== undefined) return notes.slice(0, at.start) + line + notes.slice(at.end);
  return notes === '' ? line : `${notes}${GAP}${line}`;
}

export function withoutNote(notes: string, node: string): string {
  const at = placeOf(notes, node);
  if (at === undefined) return notes;
  const before = notes.slice(0, at.start);
  const hasGap = before.endsWith(GAP);
  // Proxmox VE ends the last line by itself.
  const after = notes.slice(at.end).replace(/^\n$/, '');
  if (hasGap) return before.slice(0, -GAP.length) + after;
  return before + (after.startsWith(GAP) ? after.slice(GAP.length) : after.replace(/^\n/, ''));
}

/** Only a whole line with the mark at its end is ours. */
function placeOf(notes: string, node: string): { start: number; end: number } | undefined {
  const mark = markOf(node);
  for (let from = notes.indexOf(mark); from >= 0; from = notes.indexOf(mark, from + 1)) {
    const start = notes.lastIndexOf('\n', from) + 1;
    const end = from + mark.length;
    const isWhole = end === notes.length || notes[end] === '\n';
    if (isWhole && notes.startsWith('[lxc-autoscale', start)) return { start, end };
  }
  return undefined;
}
