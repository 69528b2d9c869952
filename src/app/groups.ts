import type { GroupReport } from '../core/groups/group-report.ts';
import type { ProcessContext } from './context.ts';
import type { NodeLoop } from './node-loop.ts';
import type { Part } from './part.ts';
import type { AskableGroups, RunningGroups } from './running-groups.ts';
import type { OpenHome } from './world.ts';

export interface GroupsPart extends Part, AskableGroups {
  readonly reports: readonly GroupReport[];
  /** Memory of the host for members that are being made and have not started yet. */
  readonly comingMib: number;
}

/** Horizontal groups. They start with the first configuration that has a group. */
export function groupsPart(node: NodeLoop, home: OpenHome, context: ProcessContext): GroupsPart {
  let running: RunningGroups | undefined;
  return {
    async apply({ groups }) {
      const { inventory } = home;
      if (running !== undefined || groups.length === 0 || inventory === undefined) return;
      const { startGroups } = await import('./running-groups.ts');
      running = startGroups(node, { ...home, inventory }, context);
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
