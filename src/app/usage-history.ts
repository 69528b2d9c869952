import type { ProcessContext } from './context.ts';
import type { NodeLoop } from './node-loop.ts';
import type { Part } from './part.ts';
import type { UsageKeeper } from './usage-keeper.ts';

/**
 * The history of usage, recorded as long as the configuration wants it. A dry run records nothing.
 * @param idleMs the time until the next cycle
 */
export function usageHistory(node: NodeLoop, context: ProcessContext, idleMs: () => number): Part {
  let keeper: UsageKeeper | undefined;
  const stop = async (): Promise<void> => {
    await keeper?.close();
    keeper = undefined;
  };
  return {
    async apply({ usageHistory: isWanted }) {
      if (!isWanted || node.settings.dryRun) return stop();
      const { openUsageKeeper } = await import('./usage-keeper.ts');
      keeper ??= openUsageKeeper(node.open, context, () => node.config.usageHistoryDays);
    },
    cycleEnded({ node: name, view }) {
      if (view !== undefined && name === node.open.name) keeper?.take(view, node.state, idleMs());
    },
    stop,
  };
}
