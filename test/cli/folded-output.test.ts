import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { foldedOn } from '../../src/cli/folded-output.ts';

function shown(isTTY: boolean, ...texts: readonly string[]): string {
  return shownAt({ isTTY, columns: 30 }, ...texts);
}

function shownAt(terminal: object, ...texts: readonly string[]): string {
  const stream = Object.assign(new PassThrough(), terminal);
  const folding = foldedOn(stream as never);
  for (const text of texts) folding.write(text);
  return stream.read().toString();
}

const SENTENCE = 'The daemon does not answer: it is not running. Start it.\n';

it('messages are folded at the width of a terminal, and nowhere else', () => {
  expect(shown(true, SENTENCE, 'Short.\n')).toBe(
    'The daemon does not answer: it\n  is not running. Start it.\nShort.\n',
  );
  expect(shown(false, SENTENCE)).toBe(SENTENCE);
});

it('messages stay whole on a serial console, which has no columns', () => {
  expect(shownAt({ isTTY: true, columns: 0 }, SENTENCE)).toBe(SENTENCE);
});

it('what is drawn passes as it is', () => {
  const bar = `\r[##########################          ] 70 %`;
  expect(shown(true, bar)).toBe(bar);
});
