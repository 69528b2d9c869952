import { existsSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  guestSpec,
  RECORDED_ACCOUNTS,
  type RestNode,
  restNode,
  SECRET,
} from '../node/api/rest-node.ts';
import { RECORDED_COMMANDS } from '../node/local/world.ts';

/** The simulated REST API answers what a node of Proxmox VE 8.4 has answered. */

interface Recorded {
  readonly method: string;
  readonly path: string;
  readonly request_headers: readonly string[] | null;
  readonly request_body: string | null;
  readonly status: number;
  readonly status_line: string;
  readonly body: string;
  readonly note: string | null;
}

const recorded = (file: string): readonly Recorded[] =>
  readFileSync(join(RECORDED_COMMANDS, file), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
    .filter(({ path }) => path !== undefined);

/** What the simulated node has not got. */
const BEYOND = /nextid|tasks|rrddata|snapshot|clone|status\/(?:start|stop)|nodes\/?$|\/lxc$/;
const IDS = new Map([
  ['as@pve!ps', 'as@pve!ps'],
  ['as@pve!noacl', 'as@pve!noacl'],
  ['as@pve!same', 'as@pve!ps'],
]);

interface Heard {
  readonly status: number;
  readonly words: string;
  readonly body: string;
}

const agent = new Agent({ rejectUnauthorized: false });

function ask(port: number, one: Recorded, authorization: string | undefined): Promise<Heard> {
  const headers = {
    ...(authorization !== undefined && { Authorization: authorization }),
    ...(one.request_body !== null && { 'Content-Type': 'application/x-www-form-urlencoded' }),
  };
  return new Promise((resolve, reject) => {
    const { method, path } = one;
    const options = { host: '127.0.0.1', port, method, path, headers, agent };
    const asked = request(options, async (response) => {
      let body = '';
      for await (const chunk of response) body += chunk;
      resolve({ status: response.statusCode ?? 0, words: response.statusMessage ?? '', body });
    });
    asked.on('error', reject);
    asked.end(one.request_body ?? '');
  });
}

const shapeOf = (body: string): unknown => {
  if (body === '') return '';
  const { data, message, errors } = JSON.parse(body);
  return { message, errors, data: Array.isArray(data) ? 'list' : data === null ? null : 'object' };
};

describe.skipIf(!existsSync(RECORDED_COMMANDS))('the simulated REST API', () => {
  afterAll(() => agent.destroy());

  const real = (): Promise<RestNode> =>
    restNode(
      [
        guestSpec(120),
        { ...guestSpec(121), running: false },
        { ...guestSpec(122), conf: `${guestSpec(122).conf}lock: backup\n` },
      ],
      false,
      [],
      RECORDED_ACCOUNTS,
    );

  it('answers tokens with few and with no privileges as a real one', async () => {
    const rest = await real();
    const asked = recorded('77-rest-restricted-token.jsonl').filter(
      ({ path }) => !BEYOND.test(path),
    );
    expect(asked.length).toBeGreaterThan(40);
    for (const one of asked) {
      const id = /PVEAPIToken=([^=]+)=/.exec(one.request_headers?.[0] ?? '')?.[1] ?? '';
      const heard = await ask(rest.server.port, one, `PVEAPIToken=${IDS.get(id)}=${SECRET}`);
      const what = `${one.method} ${one.path} ${one.request_body} of ${id}`;
      const line = `HTTP/1.1 ${heard.status} ${heard.words}`;
      expect(line, what).toBe(one.status_line);
      if (one.status !== 200) expect(shapeOf(heard.body), what).toEqual(shapeOf(one.body));
    }
  });

  it('changes as a real one', async () => {
    const rest = await real();
    const changes = recorded('76-rest-root-token.jsonl').filter(
      ({ method, path, note, request_body }) =>
        method === 'PUT' &&
        path.endsWith('/config') &&
        !(request_body ?? '').startsWith('{') &&
        !/right digest/.test(note ?? ''),
    );
    expect(changes.length).toBeGreaterThan(8);
    for (const one of changes) {
      const heard = await ask(rest.server.port, one, `PVEAPIToken=root@pam!full=${SECRET}`);
      const what = `${one.path} ${one.request_body}`;
      expect(`HTTP/1.1 ${heard.status} ${heard.words}`, what).toBe(one.status_line);
      expect(shapeOf(heard.body), what).toEqual(shapeOf(one.body));
    }
  });

  it('refuses strangers as a real one', async () => {
    const rest = await real();
    const strangers = recorded('78-rest-auth.jsonl').filter(
      ({ status, path, request_headers }) =>
        status === 401 && !/ticket$/.test(path) && !/Cookie/.test(`${request_headers}`),
    );
    expect(strangers.length).toBeGreaterThan(4);
    for (const one of strangers) {
      const header = one.request_headers?.find((each) => each.startsWith('Authorization: '));
      const heard = await ask(rest.server.port, one, header?.slice('Authorization: '.length));
      expect(`HTTP/1.1 ${heard.status} ${heard.words}`, one.note ?? '').toBe(one.status_line);
      expect(heard.body).toBe('');
    }
  });
});
