import { fstatSync } from 'node:fs';
import type { Writable } from 'node:stream';

/**
 * Whether a stream of this process goes to the journal of systemd, which then reads the priority of
 * a line from a prefix such as `<4>`. Source: systemd.exec(5), JOURNAL_STREAM; sd-daemon(3).
 */
export function isJournalStream(
  stream: Writable,
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  const told = env['JOURNAL_STREAM'];
  if (told === undefined || !('fd' in stream) || typeof stream.fd !== 'number') return false;
  try {
    const { dev, ino } = fstatSync(stream.fd);
    return told === `${dev}:${ino}`;
  } catch {
    return false;
  }
}
