import { mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { openNotifications } from '../../src/app/notifications.ts';
import { openOutputs } from '../../src/app/outputs.ts';
import type { EndedCycle } from '../../src/app/part.ts';
import { parseConfig } from '../../src/config/load.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { manualClock, temporaryDirectory } from '../node/local/world.ts';

it('a heartbeat tells how long the cycle of the home took, whatever other nodes do', async () => {
  const pings: string[] = [];
  const server = createServer((request, response) => {
    pings.push(new URL(request.url ?? '', 'http://x').searchParams.get('ping') ?? '');
    response.end('{"ok":true}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const yaml = `DEFAULT:\n  uptime_kuma_url: http://127.0.0.1:${port}/api/push/abc\n`;
  const loaded = parseConfig(yaml, 'f.yaml', {});
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  const root = temporaryDirectory();
  mkdirSync(join(root, 'var/log'), { recursive: true });
  const clock = manualClock(Date.UTC(2026, 10, 22));
  const stream = () => new PassThrough().resume();
  const context = {
    ...{ paths: createPaths(root), clock, env: {}, stdout: stream(), stderr: stream() },
  };
  const outputs = openOutputs(loaded.config, context);
  const notifications = openNotifications(outputs, context, { home: 'pve1' });
  await notifications.apply(loaded.config);
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
  await outputs.close();
  server.close();
});
