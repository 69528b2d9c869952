import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { maskedConfig } from '../../../src/app/http/masked.ts';
import { until } from '../../patience.ts';
import { configOf, serve, TOKENS } from './served.ts';

/** The secrets of the configuration are in no answer, however they are spelt there. */

/** In JSON it is spelt otherwise. */
const SPELT = 'sec"ret\\1';
const IN_JSON = JSON.stringify(SPELT).slice(1, -1);
const TOPIC = 'topic-nobody-guesses';

const yaml =
  "  smtp_server: mail.example.org\n  smtp_username: abcd\n  smtp_password: 'abc'\n" +
  '  smtp_from: from@example.org\n  smtp_to: [to@example.org]\n' +
  `  gotify_url: https://gotify.example.org/${TOPIC}\n  gotify_token: gotify-0123456789\n` +
  `  webhook_url: https://hook.example.org/\n  webhook_token: '${SPELT}'\n` +
  '  metrics_listen: 127.0.0.1:9110\n  metrics_token: metrics-0123456789\n';

const SECRETS = [TOPIC, 'gotify-0123456789', SPELT, IN_JSON, 'metrics-0123456789', '"abc"'];

describe('the configuration that is shown', () => {
  it('has no secret in it, a short one neither, and all else is there', () => {
    const shown = maskedConfig(configOf(yaml));
    const text = JSON.stringify(shown);
    for (const secret of SECRETS) expect(text).not.toContain(secret);
    expect(shown).toMatchObject({
      metrics: { token: '***' },
      notify: {
        email: { login: { username: 'abcd', password: '***' } },
        gotify: { token: '***' },
        webhook: { token: '***' },
      },
    });
  });

  it('has no hash of a token, and is the one that an admin is answered', async () => {
    const served = await serve(yaml);
    const { json, text } = await served.as('admin', 'GET', '/api/v1/config');
    expect(json).toMatchObject({
      config: { http: { tokens: [{ name: 'read' }, { name: 'scale' }, { name: 'admin' }] } },
    });
    expect(text).not.toMatch(/sha256|[0-9a-f]{64}/);
    for (const secret of [...SECRETS, ...Object.values(TOKENS)]) expect(text).not.toContain(secret);
  });
});

it('events have no secret in them', async () => {
  const served = await serve(yaml);
  served.node.add(101, { cores: 2 });
  await served.cycle();
  served.pass(10_000);
  expect((await served.as('scale', 'POST', '/api/v1/guests/101/cores', { cores: 3 })).status).toBe(
    200,
  );
  const [event] = served.node.events;
  if (event?.kind !== 'change') throw new Error('nothing was changed');
  let heard = '';
  const socket = connect(served.port, '127.0.0.1').on('data', (chunk) => {
    heard += String(chunk);
  });
  socket.write(
    'GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n' +
      `Authorization: Bearer ${TOKENS.read}\r\n\r\n`,
  );
  await until(() => heard.includes(': welcome'));
  const note = `said ${SECRETS.join(', ')}.`;
  for (const tell of served.heard) {
    tell({ ...event, details: { ...event.details, note } }, true, 'pve1');
  }
  await until(() => heard.includes('event: journal'));
  socket.destroy();
  expect(heard).toContain('said ***, ');
  for (const secret of SECRETS.filter((one) => one !== '"abc"')) {
    expect(heard).not.toContain(secret);
  }
});
