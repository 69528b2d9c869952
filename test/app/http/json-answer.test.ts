import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { jsonAnswer } from '../../../src/app/http/json-answer.ts';

/** Long answers are packed for whoever can unpack them. */

const request = (encodings?: string): Request =>
  new Request('http://localhost/', {
    ...(encodings !== undefined && { headers: { 'accept-encoding': encodings } }),
  });
const LONG = { guests: Array.from({ length: 300 }, (_, index) => ({ vmid: index, name: 'web' })) };

describe('an answer', () => {
  it('that is long is packed, and smaller by far', async () => {
    const answer = await jsonAnswer(LONG, request('deflate, gzip, br'));
    const packed = Buffer.from(await answer.arrayBuffer());
    expect(Object.fromEntries(answer.headers)).toEqual({
      'content-type': 'application/json',
      'content-encoding': 'gzip',
      vary: 'accept-encoding',
    });
    expect(packed.length).toBeLessThan(JSON.stringify(LONG).length / 4);
    expect(JSON.parse(gunzipSync(packed).toString())).toEqual(LONG);
  });

  it.each([
    ['is short', { name: 'web' }, 'gzip'],
    ['is for one who cannot unpack it', LONG, 'br'],
    ['is for one who says nothing of that', LONG, undefined],
  ])('that %s is plain', async (_what, content, encodings) => {
    const answer = await jsonAnswer(content, request(encodings));
    expect(answer.headers.get('content-encoding')).toBeNull();
    expect(await answer.json()).toEqual(content);
  });
});
