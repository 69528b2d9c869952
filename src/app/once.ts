import { setMaxListeners } from 'node:events';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { onFirstSight, settingsOf } from './loop-settings.ts';
import { NodeLoop } from './node-loop.ts';
import { openNotifications } from './notifications.ts';
import { together } from './part.ts';
import type { Launched } from './run.ts';
import { usageHistory } from './usage-history.ts';

/** `once`: one cycle. No other follows soon, so its records are written at its end. */
export async function once(launched: Launched): Promise<ExitCode> {
  const { launch, config, home, nodes, context, signals } = launched;
  const stop = new AbortController();
  // Each node listens, and Node takes more than ten listeners for a leak.
  setMaxListeners(0, stop.signal);
  const onStop = (): void => stop.abort();
  signals.on('SIGTERM', onStop);
  signals.on('SIGINT', onStop);
  const loops = nodes.map(
    (one) =>
      new NodeLoop({
        ...one,
        config,
        // Whoever runs one cycle wants to read of it, whatever it came to.
        settingsOf: (each) => ({
          ...onFirstSight(settingsOf(each, launch)),
          logQuietCycles: true,
        }),
      }),
  );
  const usages = loops.map((loop) => usageHistory(loop, context, () => Number.POSITIVE_INFINITY));
  const notifications = openNotifications(home.outputs, context, {
    home: home.name,
    isAway: home.inventory === undefined,
  });
  const parts = together([...usages, notifications], (message) => home.outputs.log.error(message));
  await parts.apply(config);
  const results = await Promise.all(
    loops.map(async (loop) => {
      parts.cycleBegins(loop.open.name);
      const ended = await loop.cycle(stop.signal);
      if (ended !== undefined) parts.cycleEnded(ended);
      loop.save();
      return ended?.result;
    }),
  );
  await parts.stop();
  home.outputs.log.info('Resource allocation process completed.');
  const isFine = results.every((result) => result?.ok === true && result.failed === 0);
  return isFine ? EXIT.fine : EXIT.failure;
}
