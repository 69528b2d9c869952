import { Writable } from 'node:stream';
import { hanging, widthOf } from './view.ts';

/** Messages on a terminal: what is longer than a line goes on in the next one by whole words. */

/** Escape sequences and progress go to where the cursor is; they are no sentences. */
const DRAWN = /[\r\x1b]/;

export const foldedText = (text: string, width: number | undefined): string =>
  DRAWN.test(text) ? text : hanging(text.split('\n'), width).join('\n');

/** The same stream unless it is a terminal. */
export function foldedOn(stream: NodeJS.WriteStream): Writable {
  if (!stream.isTTY) return stream;
  const folding = new Writable({
    decodeStrings: false,
    write(chunk: string | Buffer, _encoding, done) {
      // At once: a process that ends waits for the stream below only.
      stream.write(foldedText(chunk.toString(), widthOf(stream)));
      done();
    },
  });
  return Object.defineProperties(folding, {
    isTTY: { value: true },
    columns: { get: () => stream.columns },
  });
}
