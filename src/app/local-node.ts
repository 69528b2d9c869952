import { type Missing, missing } from '../core/reading.ts';
import { createCgroups } from '../node/local/kernel/cgroup-files.ts';
import { createReclaim } from '../node/local/kernel/cgroup-reclaim.ts';
import { LimitEventFiles } from '../node/local/kernel/limit-events.ts';
import { createMemoryGuards } from '../node/local/kernel/memory-guards.ts';
import { createMemoryHigh } from '../node/local/kernel/memory-high.ts';
import { createHostView } from '../node/local/kernel/proc-files.ts';
import { createGuests } from '../node/local/pve/guests.ts';
import { createPct } from '../node/local/pve/pct.ts';
import { PveInventory } from '../node/local/pve/pve-inventory.ts';
import { cgroupsOfBothKinds, guestsOfBothKinds } from '../node/local/qemu/machine-doors.ts';
import { LocalMachines } from '../node/local/qemu/machine-guests.ts';
import { createQm } from '../node/local/qemu/machine-qm.ts';
import type { Guests, MachineWishes, NodeEyes, NodeHands } from '../node/port.ts';
import type { ProcessContext } from './context.ts';

/** The node that this program runs on. What is read of it is read as it is now. */
export interface LocalNode {
  /**
   * All but the look itself: what has to answer for that is known to who opens the node. `look` is
   * this node's part of it.
   */
  readonly eyes: Omit<NodeEyes, 'observe'>;
  readonly hands: NodeHands;
  /** Which guests the cluster has: one for all that ask. */
  readonly inventory: PveInventory;
  look(): Promise<void>;
  /** Which virtual machines are looked after from now on; none until this is said. */
  lookAfter(wishes: MachineWishes): void;
  close(): void;
}

/** @param hanging why `/etc/pve` cannot be read now; undefined: it has answered */
export function openLocalNode(
  { paths, clock, env }: ProcessContext,
  hanging: () => string | undefined,
): LocalNode {
  const cgroups = createCgroups(paths, clock);
  const limitEvents = new LimitEventFiles(paths);
  const inventory = new PveInventory(paths);
  const machines = new LocalMachines(paths, clock, inventory);
  const guests = guestsOfBothKinds(createGuests(paths, inventory), machines);
  const pct = createPct({ environment: env });
  const qm = createQm(machines, { environment: env });
  return {
    eyes: {
      clock,
      cgroups: {
        ...cgroupsOfBothKinds(cgroups, machines),
        glance: (vmid) => (machines.has(vmid) ? undefined : cgroups.glance(vmid)),
      },
      limitEvents,
      inspect: (vmid) => machines.inspect(vmid),
      guests: whileAnswering(guests, hanging),
      host: createHostView(paths, () => missingWhile(hanging) ?? machines.memoryMib()),
    },
    hands: {
      apply: (request, stop, cancel) =>
        (machines.has(request.vmid) ? qm : pct).apply(request, stop, cancel),
      reclaim: createReclaim(paths, clock),
      memoryHigh: createMemoryHigh(paths, clock),
      memoryGuards: createMemoryGuards(paths),
    },
    inventory,
    look: () => machines.look(),
    lookAfter: (wishes) => machines.use(wishes),
    close() {
      cgroups.close();
      limitEvents.close();
      machines.close();
    },
  };
}

function missingWhile(hanging: () => string | undefined): Missing | undefined {
  const problem = hanging();
  return problem === undefined ? undefined : missing('unreadable', problem);
}

const whileAnswering = (guests: Guests, hanging: () => string | undefined): Guests => ({
  list: () => missingWhile(hanging) ?? guests.list(),
  isMachine: (vmid) => guests.isMachine?.(vmid) === true,
  read: (vmid) => missingWhile(hanging) ?? guests.read(vmid),
  quorum: () => missingWhile(hanging) ?? guests.quorum(),
});
