import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { answerWith } from '../../../src/app/http/adapter.ts';
import { breathe } from '../../patience.ts';

it('an answer without end is cancelled for somebody who has gone already', async () => {
  const outgoing = new ServerResponse(new IncomingMessage(new Socket()));
  outgoing.destroy();
  await breathe();
  let isCancelled = false;
  const body = new ReadableStream<Uint8Array>({
    cancel: () => {
      isCancelled = true;
    },
  });
  await answerWith(new Response(body), outgoing, false);
  expect(isCancelled).toBe(true);
});
