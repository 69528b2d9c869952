import { withUnit } from '../core/explain.ts';
import type { LoopState } from '../core/loop-state.ts';
import type { World } from '../ports.ts';
import type { Observed } from './observe.ts';
import { tellConfirmed } from './tell.ts';

/** pvestatd runs every 10 s; after a minute something is wrong with it. */
const OVERDUE_MS = 60_000;

/** Confirms the cores that earlier cycles configured and that have reached the cpuset by now. */
export function confirmPending(world: World, state: LoopState, observed: Observed): void {
  for (const { vmid, state: seen } of observed.containers) {
    const pending = state.pendingCores.get(vmid);
    if (pending === undefined || seen.kind !== 'running') continue;
    if (seen.usage.cpusetCpus === pending.cores) {
      state.pendingCores.delete(vmid);
      tellConfirmed(world, vmid, pending.cores, state.cycle);
    } else if (!pending.warned && observed.atMs - pending.sinceMs > OVERDUE_MS) {
      state.pendingCores.set(vmid, { ...pending, warned: true });
      const seconds = Math.round((observed.atMs - pending.sinceMs) / 1000);
      world.log.warn(
        `Container ${vmid}: ${withUnit('cores', pending.cores)} configured ${seconds} s ago ` +
          'are still not in its cpuset; is pvestatd running?',
      );
    }
  }
}
