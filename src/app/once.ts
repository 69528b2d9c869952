import { EXIT, type ExitCode } from './exit-codes.ts';
import { onFirstSight, settingsOf } from './loop-settings.ts';
import { NodeLoop } from './node-loop.ts';
import { openNotifications } from './notifications.ts';
import { together } from './part.ts';
import type { Launched } from './run.ts';
import { usageHistory } from './usage-history.ts';

/** `once`: one cycle. No other follows soon, so its records are written at its end. */
export async function once(launched: Launched): Promise<ExitCode> {
  const { launch, config, open, keeper, context, signals } = launched;
  const stop = new AbortController();
  const onStop = (): void => stop.abort();
  signals.on('SIGTERM', onStop);
  signals.on('SIGINT', onStop);
  const node = new NodeLoop({
    ...{ open, keeper, config },
    settingsOf: (each) => onFirstSight(settingsOf(each, launch)),
  });
  const usage = usageHistory(node, context, () => Number.POSITIVE_INFINITY);
  const parts = together([usage, openNotifications(open, context)]);
  await parts.apply(config);
  parts.cycleBegins();
  const ended = await node.cycle(stop.signal);
  parts.cycleEnded(ended);
  node.save();
  await parts.stop();
  node.world.log.info('Resource allocation process completed.');
  const { result } = ended;
  return result.ok && result.failed === 0 ? EXIT.fine : EXIT.failure;
}
