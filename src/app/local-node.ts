import { type Missing, missing } from '../core/reading.ts';
import { createCgroups } from '../node/local/kernel/cgroup-files.ts';
import { createReclaim } from '../node/local/kernel/cgroup-reclaim.ts';
import { createMemoryHigh } from '../node/local/kernel/memory-high.ts';
import { createHostView } from '../node/local/kernel/proc-files.ts';
import { createGuests } from '../node/local/pve/guests.ts';
import { createPct } from '../node/local/pve/pct.ts';
import { PveInventory } from '../node/local/pve/pve-inventory.ts';
import { createRunningVms } from '../node/local/pve/vms.ts';
import type { Guests, NodeEyes, NodeHands } from '../node/port.ts';
import type { ProcessContext } from './context.ts';

/** The node that this program runs on. What is read of it is read as it is now. */
export interface LocalNode {
  /** All but the look itself: what has to answer for that is known to who opens the node. */
  readonly eyes: Omit<NodeEyes, 'observe'>;
  readonly hands: NodeHands;
  /** Which guests the cluster has: one for all that ask. */
  readonly inventory: PveInventory;
  close(): void;
}

/** @param hanging why `/etc/pve` cannot be read now; undefined: it has answered */
export function openLocalNode(
  { paths, clock, env }: ProcessContext,
  hanging: () => string | undefined,
): LocalNode {
  const cgroups = createCgroups(paths, clock);
  const inventory = new PveInventory(paths);
  const vms = createRunningVms(paths, inventory);
  return {
    eyes: {
      ...{ clock, cgroups, inspect: async () => {} },
      guests: whileAnswering(createGuests(paths, inventory), hanging),
      host: createHostView(paths, () => missingWhile(hanging) ?? vms.memoryMib()),
    },
    hands: {
      ...createPct({ environment: env }),
      reclaim: createReclaim(paths, clock),
      memoryHigh: createMemoryHigh(paths, clock),
    },
    inventory,
    close: () => cgroups.close(),
  };
}

function missingWhile(hanging: () => string | undefined): Missing | undefined {
  const problem = hanging();
  return problem === undefined ? undefined : missing('unreadable', problem);
}

const whileAnswering = (guests: Guests, hanging: () => string | undefined): Guests => ({
  list: () => missingWhile(hanging) ?? guests.list(),
  read: (vmid) => missingWhile(hanging) ?? guests.read(vmid),
  quorum: () => missingWhile(hanging) ?? guests.quorum(),
});
