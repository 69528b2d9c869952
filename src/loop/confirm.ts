import { withUnit } from '../core/explain.ts';
import type { LoopState } from '../core/loop-state.ts';
import { hasOwnCpuset } from '../core/pins.ts';
import type { World } from '../ports.ts';
import { logConfirmed } from './log-cycle.ts';
import type { Observed } from './observe.ts';

/** pvestatd runs every 10 s; after two minutes something is wrong with it. */
const OVERDUE_MS = 120_000;

/** Confirms the cores that earlier cycles configured and that have reached the cpuset by now. */
export function confirmPending(world: World, state: LoopState, observed: Observed): void {
  const { cpus } = observed.host;
  for (const { vmid, config, state: seen } of observed.containers) {
    const life = state.guests.get(vmid)?.life;
    const pending = life?.pendingCores;
    if (life === undefined || pending === undefined || seen.kind !== 'running') continue;
    // More cores than the host has are capped, so the cpuset never shows them all.
    const expected = cpus.ok ? Math.min(pending.cores, cpus.value) : pending.cores;
    if (config.ok && (config.value.cores !== pending.cores || hasOwnCpuset(config.value))) {
      // Somebody has asked for something else since; nobody waits for this any more.
      life.pendingCores = undefined;
    } else if (seen.usage.cpusetCpus === expected) {
      life.pendingCores = undefined;
      logConfirmed(world, vmid, pending.cores, state.cycle);
    } else if (!pending.warned && observed.atMs - pending.sinceMs > OVERDUE_MS) {
      life.pendingCores = { ...pending, warned: true };
      const seconds = Math.round((observed.atMs - pending.sinceMs) / 1000);
      world.log.warn(
        `Container ${vmid}: ${withUnit('cores', pending.cores)} were set ${seconds} s ago and ` +
          'are not active: pvestatd is not applying them; see `systemctl status pvestatd`',
        { component: 'act', vmid, event: 'change', outcome: 'overdue' },
      );
    }
  }
}
