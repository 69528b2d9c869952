import { describe, expect, it } from 'vitest';
import {
  FrameBuffer,
  frameOf,
  MOST_FRAME_BYTES,
  MOST_NAMES_BYTES,
  MOST_RECORDS,
  parseAnswer,
} from '../../../src/node/ssh/frames.ts';

/** What a far side that means ill could say, and what it may cost here. */

function text(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

const record = (letter: string, ...texts: readonly (string | Buffer)[]): Buffer =>
  Buffer.concat([Buffer.from(letter), ...texts.map(text)]);

const answer = (...records: readonly Buffer[]): Buffer =>
  Buffer.concat([Buffer.from('1'), ...records]);

describe('the records of an answer', () => {
  const directory = (names: string): Buffer => record('D', '/d', '1', '2', '3.5', names);

  it('are as many as a node can have, and no more', () => {
    const one = record('F', '/f', '');
    const all = Buffer.alloc(one.length * MOST_RECORDS, one);
    expect(parseAnswer(answer(all))?.records.length).toBe(MOST_RECORDS);
    expect(parseAnswer(answer(all, one))).toBeUndefined();
  });

  it('have as many names as a node can have, and no more, in all directories together', () => {
    const half = 'n'.repeat(MOST_NAMES_BYTES / 2);
    expect(parseAnswer(answer(directory(half), directory(half)))?.records).toHaveLength(2);
    expect(parseAnswer(answer(directory(half), directory(half), directory('n')))).toBeUndefined();
  });
});

describe('frames', () => {
  const headed = (length: number): Buffer => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(length);
    return head;
  };

  it('are refused by their length, before they have come', () => {
    for (const [most, length] of [[MOST_FRAME_BYTES, MOST_FRAME_BYTES] as const, [10, 10]]) {
      const frames = new FrameBuffer();
      frames.add(headed(length));
      expect(frames.next(most)).toBeUndefined();
      const larger = new FrameBuffer();
      larger.add(headed(length + 1));
      expect(larger.next(most)).toBe(false);
    }
  });

  it('may come byte by byte', () => {
    const frames = new FrameBuffer();
    const sent = Buffer.alloc(5000, 'x');
    for (const byte of Buffer.concat([headed(sent.length), sent])) frames.add(Buffer.of(byte));
    expect(frames.next()).toEqual(sent);
    expect(frames.next()).toBeUndefined();
  });

  it('have no text with a NUL, which would be two texts there', () => {
    expect(() => frameOf(1, 'X', ['pct', 'a\0b'])).toThrow('NUL');
  });
});
