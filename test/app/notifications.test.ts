import { mkdirSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Notifications, openNotifications } from '../../src/app/notifications.ts';
import { type Outputs, openOutputs } from '../../src/app/outputs.ts';
import type { EndedCycle } from '../../src/app/part.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { Pause } from '../../src/core/pause.ts';
import { missing } from '../../src/core/reading.ts';
import { milliseconds } from '../../src/core/units.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { manualClock, temporaryDirectory } from '../node/local/world.ts';

let pings: string[];
let asked: URLSearchParams[];
let server: Server;
let clock: ReturnType<typeof manualClock>;
let outputs: Outputs;

beforeEach(async () => {
  pings = [];
  asked = [];
  server = createServer((request, response) => {
    const parameters = new URL(request.url ?? '', 'http://x').searchParams;
    asked.push(parameters);
    let text = parameters.get('ping') ?? '';
    request.on('data', (chunk) => {
      text += chunk;
    });
    request.on('end', () => {
      pings.push(text);
      response.end('{"ok":true}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterEach(async () => {
  await outputs.close();
  server.close();
});

/** @param key of the configuration, whose value is an address of the server */
async function open(key: string, isAway: boolean): Promise<Notifications> {
  const { port } = server.address() as AddressInfo;
  const yaml = `DEFAULT:\n  ${key}: http://127.0.0.1:${port}/api/push/abc\n`;
  const loaded = parseConfig(yaml, 'f.yaml', {});
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  const root = temporaryDirectory();
  mkdirSync(join(root, 'var/log'), { recursive: true });
  clock = manualClock(Date.UTC(2026, 10, 22));
  const stream = () => new PassThrough().resume();
  const context = {
    paths: createPaths(root),
    clock,
    env: {},
    stdout: stream(),
    stderr: stream(),
  };
  outputs = openOutputs(loaded.config, context);
  const notifications = openNotifications(outputs, context, { home: 'pve1', isAway });
  await notifications.apply(loaded.config);
  return notifications;
}

const ended = (node: string, pause?: Pause): EndedCycle => {
  const view = { planned: { held: [] }, available: {} };
  const result = { ok: true, done: 0, failed: 0, eventful: false, pause };
  return { node, kind: 'whole', result, view } as unknown as EndedCycle;
};
const pause = (kind: Pause['kind']): Pause => ({ kind, why: kind, sinceMs: milliseconds(0) });

it('a heartbeat tells how long the cycle of the home took, whatever other nodes do', async () => {
  const notifications = await open('uptime_kuma_url', false);
  notifications.cycleBegins('pve1');
  clock.advance(5000);
  notifications.cycleBegins('lab');
  clock.advance(1000);
  notifications.cycleEnded(ended('pve1'));
  await expect.poll(() => pings).toEqual(['6000']);
  await notifications.stop(0);
});

it.each([
  [false, '\\nThe containers cannot be seen'],
  [true, '\\npve1: The containers cannot be seen'],
])('a message names the home if that is only the first of several: %s', async (isAway, text) => {
  const notifications = await open('webhook_url', isAway);
  notifications.cycleBegins('pve1');
  const result = missing('unreadable', 'it is down');
  notifications.cycleEnded({ node: 'pve1', kind: 'whole', result, view: undefined });
  await expect.poll(() => pings.join()).toContain(text);
  await notifications.stop(0);
});

it('a program that waits for another is well, and no error is told', async () => {
  const notifications = await open('webhook_url', false);
  for (const now of [pause('elsewhere'), pause('elsewhere'), undefined]) {
    notifications.cycleBegins('pve1');
    notifications.cycleEnded(ended('pve1', now));
  }
  await expect.poll(() => pings.join()).toMatch(/No other program scales this node any more/);
  expect(pings.join()).toContain('Nothing is changed on this node: elsewhere.');
  expect(pings.join()).not.toContain('"severity":"error"');
  await notifications.stop(0);
});

it.each([
  ['elsewhere', 'up', 'elsewhere'],
  ['no-quorum', 'down', 'Nothing can be changed'],
] as const)('a heartbeat of a node that is paused (%s) is %s', async (kind, status, message) => {
  const notifications = await open('uptime_kuma_url', false);
  notifications.cycleBegins('pve1');
  notifications.cycleEnded(ended('pve1', pause(kind)));
  await expect.poll(() => asked.at(-1)?.get('status')).toBe(status);
  expect(asked.at(-1)?.get('msg')).toBe(message);
  await notifications.stop(0);
});
