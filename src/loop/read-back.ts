import { guestState } from '../core/guest-state.ts';
import type { GuestConfig, GuestState } from '../core/observation.ts';
import { bytesToMib, type Vmid } from '../core/units.ts';
import type { ReadBack } from '../core/verify.ts';
import type { CommandOutcome } from '../node/port.ts';
import type { World } from '../ports.ts';

/** What came of a command: what the tool says of it, and what is really there. */

/** Why a node that does not tell a guest's need does not lower its memory. */
export const NEED_UNSEEN =
  'what it needs of its memory cannot be seen from here, so that is not lowered while it runs';

/** A new look at a guest, after a change. */
export async function readBack(world: World, vmid: Vmid): Promise<ReadBack> {
  await world.inspect(vmid);
  return asSeen(world, vmid);
}

/** The guest as it was seen last. */
export function asSeen({ guests, cgroups }: World, vmid: Vmid): ReadBack {
  const file = guests.read(vmid);
  const sample = cgroups.sample(vmid);
  const counters = sample.ok ? sample.value.memory : sample;
  const cpu = sample.ok ? sample.value.cpu : sample;
  const limit = counters.ok ? counters.value.limitBytes : undefined;
  if (file.ok && file.value.config.reaches !== undefined) {
    return asConfigured(file.value.config, guestState(sample), cgroups.cpuLimit(vmid));
  }
  return {
    state: guestState(sample),
    config: file.ok ? { ok: true, value: file.value.config } : file,
    liveCpuLimit: cgroups.cpuLimit(vmid),
    liveMemoryMib: counters.ok
      ? { ok: true, value: limit === undefined ? undefined : bytesToMib(limit) }
      : counters,
    liveCpus: cpu.ok ? { ok: true, value: cpu.value.cpusetCpus } : cpu,
  };
}

/** A machine takes what is configured, or leaves it pending. Its balloon follows later. */
const asConfigured = (
  config: GuestConfig,
  state: GuestState,
  liveCpuLimit: ReadBack['liveCpuLimit'],
): ReadBack => ({
  state,
  config: { ok: true, value: config },
  liveCpuLimit,
  liveMemoryMib: { ok: true, value: config.memoryMib },
  liveCpus: { ok: true, value: config.cores ?? undefined },
});

/** @param tool that was run */
export function outcomeWords(
  outcome: Exclude<CommandOutcome, { kind: 'done' }>,
  tool: 'pct' | 'qm' = 'pct',
): string {
  switch (outcome.kind) {
    case 'failed':
      if (outcome.exitCode === undefined) return outcome.message;
      return `${tool} exited with ${outcome.exitCode}: ${outcome.message}`;
    case 'timed-out':
    case 'killed':
      return outcome.message;
    case 'not-started':
      return `${tool} could not be started: ${outcome.message}`;
  }
}

export type Unwritable = Extract<CommandOutcome, { readonly kind: 'failed' }>;

/** `/etc/pve` takes no changes: another `pct set` could not be written either. */
export const isUnwritable = (outcome: CommandOutcome): outcome is Unwritable =>
  outcome.kind === 'failed' && (outcome.why === 'no-quorum' || outcome.why === 'unreachable');
