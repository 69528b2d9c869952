import type { GroupReport } from '../core/groups/group-report.ts';
import type { ProcessContext } from './context.ts';
import type { NodeLoop } from './node-loop.ts';
import type { Part } from './part.ts';
import type { AskableGroups, HomeGroups, RunningGroups } from './running-groups.ts';

export interface GroupsPart extends Part, AskableGroups {
  readonly reports: readonly GroupReport[];
  /** Memory of the host for members that are being made and have not started yet. */
  readonly comingMib: number;
}

/**
 * Horizontal groups of one node. They start with the first configuration that has a group there.
 *
 * @param home of the node that this program runs on; undefined: it is a further one
 */
export function groupsPart(
  node: NodeLoop,
  home: HomeGroups | undefined,
  context: ProcessContext,
): GroupsPart {
  let running: RunningGroups | undefined;
  const mayHave = home !== undefined || node.open.groups !== undefined;
  return {
    async apply() {
      if (running !== undefined || node.config.groups.length === 0 || !mayHave) return;
      const { startGroups } = await import('./running-groups.ts');
      running = startGroups(node, home, context);
    },
    stop: async () => running?.stop(),
    ask: async (...asked) => running?.ask(...asked),
    get reports() {
      return running?.reports ?? [];
    },
    get comingMib() {
      return running?.comingMib ?? 0;
    },
  };
}
