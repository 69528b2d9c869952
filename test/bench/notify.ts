import { createServer, type Server, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { PassThrough } from 'node:stream';
import type { ProcessContext } from '../../src/app/context.ts';
import { settingsOf } from '../../src/app/loop-settings.ts';
import { type Notifications, openNotifications } from '../../src/app/notifications.ts';
import { openWorld } from '../../src/app/world.ts';
import { parseConfig } from '../../src/config/load.ts';
import { onNode } from '../../src/config/on-node.ts';
import { newLoopState } from '../../src/core/loop-state.ts';
import { milliseconds } from '../../src/core/units.ts';
import { type CycleView, runCycle } from '../../src/loop/cycle.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import type { SimulatedNode } from '../../src/sim/node.ts';
import { onQuietNode } from './quiet-node.ts';

/**
 * What messages cost a cycle: cycles with all channels set up and hanging, messages waiting in each
 * of them, and cycles without any channel, turn about on the same node.
 */

const CONTAINERS = 100;
const WARM_UP_ROUNDS = 30;
const ROUNDS = 300;
const EVENTS = 20;

let nowMs = 1_000_000;
const clock = {
  wallMs: () => milliseconds(1e12 + nowMs),
  monotonicMs: () => milliseconds(nowMs),
};

export async function benchNotify(): Promise<readonly string[]> {
  const hanging = await hangingServer();
  try {
    return await onQuietNode(CONTAINERS, (root, node) => measure(root, node, hanging.port));
  } finally {
    hanging.close();
  }
}

/** Takes every connection and never says a word. */
async function hangingServer(): Promise<{ readonly port: number; close(): void }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

interface Side {
  /** Runs one cycle as the daemon does; in milliseconds. */
  cycle(): Promise<number>;
  readonly notifications: Notifications;
  close(): Promise<void>;
}

async function side(root: string, lines: readonly string[]): Promise<Side> {
  const yaml = ['DEFAULT:', 'poll_interval: 10', ...lines].join('\n  ');
  const loaded = parseConfig(yaml, 'bench.yaml', {});
  if (!loaded.ok) throw new Error('the configuration of the benchmark is wrong');
  const { config } = loaded;
  const context: ProcessContext = {
    paths: createPaths(root),
    clock,
    env: process.env,
    stdout: new PassThrough().resume(),
    stderr: new PassThrough().resume(),
  };
  const open = openWorld(config, context);
  const settings = settingsOf(onNode(config, 'pve1'), { dryRun: true });
  const notifications = openNotifications(open.outputs, context, { home: open.name });
  await notifications.apply(config);
  const state = newLoopState();
  const stop = new AbortController().signal;
  return {
    notifications,
    async cycle() {
      const startMs = performance.now();
      let view: CycleView | undefined;
      const inspect = (seen: CycleView): void => {
        view = seen;
      };
      notifications.cycleBegins(open.name);
      const result = await runCycle(open.world, { ...settings, inspect }, state, stop);
      notifications.cycleEnded({ node: open.name, kind: 'whole', result, view });
      return performance.now() - startMs;
    },
    async close() {
      await notifications.stop(0);
      await open.close();
    },
  };
}

async function measure(
  root: string,
  node: SimulatedNode,
  port: number,
): Promise<readonly string[]> {
  const at = `http://127.0.0.1:${port}`;
  const without = await side(root, []);
  const hanging = await side(root, [
    `gotify_url: ${at}`,
    'gotify_token: token',
    `ntfy_url: ${at}/topic`,
    `webhook_url: ${at}`,
    `uptime_kuma_url: ${at}/push`,
    'smtp_server: 127.0.0.1',
    `smtp_port: ${port}`,
    'smtp_from: a@lan',
    'smtp_to: b@lan',
  ]);
  const tellMs = await tellSome(hanging);
  const times: Record<'without' | 'hanging', number[]> = { without: [], hanging: [] };
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
    node.advance(1000);
    nowMs += 1000;
    // Whoever comes first finds colder caches.
    const order = round % 2 === 0 ? (['without', 'hanging'] as const) : TURNED;
    for (const name of order) {
      const ms = await (name === 'without' ? without : hanging).cycle();
      if (round >= 0) times[name].push(ms);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  await without.close();
  await hanging.close();
  const [plain, hung] = [median(times.without), median(times.hanging)];
  const percent = ((hung / plain - 1) * 100).toFixed(1);
  return [
    `${CONTAINERS} containers, nothing to change, a whole cycle:`,
    `${plain.toFixed(2).padStart(7)} ms  without a channel`,
    `${hung.toFixed(2).padStart(7)} ms  all channels hanging: ${percent} % more (goal: at most 5)`,
    `${tellMs.toFixed(2).padStart(7)} ms  ${EVENTS} events into a message for each of 4 channels,`,
    '            on the disk, after a cycle with changes (of which each takes some 550 ms)',
  ];
}

const TURNED = ['hanging', 'without'] as const;

/** Gives every channel something that waits. */
async function tellSome({ notifications, cycle }: Side): Promise<number> {
  await cycle();
  await cycle();
  const times: number[] = [];
  for (let round = 0; round < 20; round++) {
    for (let index = 0; index < EVENTS; index++) {
      notifications.notify({ kind: 'changed', severity: 'info', text: `event ${round}, ${index}` });
    }
    nowMs += 1000;
    const withMs = await cycle();
    nowMs += 1000;
    times.push(withMs - (await cycle()));
  }
  return median(times);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
