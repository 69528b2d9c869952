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
import { missing } from '../../src/core/reading.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { manualClock, temporaryDirectory } from '../node/local/world.ts';

let pings: string[];
let server: Server;
let clock: ReturnType<typeof manualClock>;
let outputs: Outputs;

beforeEach(async () => {
  pings = [];
  server = createServer((request, response) => {
    let text = new URL(request.url ?? '', 'http://x').searchParams.get('ping') ?? '';
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

it('a heartbeat tells how long the cycle of the home took, whatever other nodes do', async () => {
  const notifications = await open('uptime_kuma_url', false);
  const counts = { done: 0, failed: 0, pause: undefined, eventful: false };
  const ended = (node: string): EndedCycle => {
    const view = { planned: { held: [] }, available: {} };
    return { node, kind: 'whole', result: { ok: true, ...counts }, view } as unknown as EndedCycle;
  };
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
