import { memoryNeed } from '../core/guards.ts';
import type { GuestConfig } from '../core/observation.ts';
import type { PlannedChange } from '../core/plan.ts';
import { bytesToMib, mib } from '../core/units.ts';
import { memoryUsage } from '../core/usage.ts';
import { type ReadBack, type Target, type Verification, verify } from '../core/verify.ts';
import type { BackupPurpose, CommandOutcome, SetRequest, World } from '../ports.ts';
import { changesOf, describe } from './tell.ts';

/** How one change went; `note` says more for a person. */
export interface ChangeResult {
  readonly kind: 'confirmed' | 'pending' | 'failed' | 'rolled-back' | 'overtaken';
  readonly backup?: string;
  readonly note?: string;
}

export interface ChangeContext {
  readonly hostCpus: number;
  readonly stop: AbortSignal;
}

/**
 * One change from end to end: look again, back up, `pct set`, read back, and put back what was
 * half done. What `pct` says is only a hint: what counts is what is read back.
 */
export async function carryOut(
  world: World,
  planned: PlannedChange,
  decidedOn: GuestConfig,
  context: ChangeContext,
): Promise<ChangeResult> {
  const file = world.guests.read(planned.vmid);
  if (!file.ok) return { kind: 'overtaken', note: file.detail };
  if (file.value.config.digest !== decidedOn.digest) {
    return { kind: 'overtaken', note: 'its configuration was changed meanwhile; deciding anew' };
  }
  const before = target(planned, 'before', decidedOn);
  const expected = target(planned, 'after', decidedOn);
  const unsafe = refuseShrink(world, planned);
  if (unsafe !== undefined) return { kind: 'overtaken', note: unsafe };

  const backup = world.backups.write(file.value, purpose(planned, before, expected));
  if (!backup.ok) {
    return { kind: 'failed', note: `Nothing was changed, since no backup: ${backup.message}` };
  }
  const request = { vmid: planned.vmid, ...expected, digest: decidedOn.digest };
  const outcome = await world.proxmox.set(request, context.stop);
  const verdict = verify(before, expected, readBack(world, planned), context.hostCpus);
  const result = await settle(world, planned, before, verdict, outcome, context);
  return { ...result, backup: backup.path };
}

/** The values of one side of a change. A configuration without `cores:` goes back to having none. */
function target(planned: PlannedChange, side: 'before' | 'after', config: GuestConfig): Target {
  const { cores, memory } = planned;
  const before = side === 'before';
  return {
    ...(cores && { cores: before ? (config.cores ?? null) : cores.after }),
    ...(memory && { memoryMib: before ? config.memoryMib : mib(memory.after) }),
  };
}

function purpose(planned: PlannedChange, before: Target, expected: Target): BackupPurpose {
  return {
    ...(expected.cores !== undefined && {
      cores: { from: before.cores ?? null, to: expected.cores },
    }),
    ...(expected.memoryMib !== undefined &&
      before.memoryMib !== undefined && {
        memoryMib: { from: before.memoryMib, to: expected.memoryMib },
      }),
    reason: changesOf(planned).map(describe).join('. '),
  };
}

/**
 * A cycle may be a minute old when the last of its changes is made. Lowering memory below what is
 * in use kills, and `pct` says nothing; so the use is read once more right before.
 */
function refuseShrink({ cgroups }: World, { vmid, memory }: PlannedChange): string | undefined {
  if (memory?.verdict !== 'shrink') return undefined;
  const needMib = needNow(cgroups.sample(vmid));
  if (needMib === undefined) return 'its memory could not be read once more before shrinking';
  if (needMib <= memory.after) return undefined;
  return `it needs ${Math.ceil(needMib)} MB now, so ${memory.after} MB would be too little`;
}

function needNow(sample: ReturnType<World['cgroups']['sample']>): number | undefined {
  if (!sample.ok) return undefined;
  const usage = memoryUsage(undefined, sample.value);
  return usage.ok ? memoryNeed(usage.value.workingSetMib + usage.value.swapMib) : undefined;
}

function readBack({ guests, cgroups }: World, { vmid }: PlannedChange): ReadBack {
  const file = guests.read(vmid);
  const sample = cgroups.sample(vmid);
  const counters = sample.ok ? sample.value.memory : sample;
  const cpu = sample.ok ? sample.value.cpu : sample;
  const limit = counters.ok ? counters.value.limitBytes : undefined;
  return {
    config: file.ok ? { ok: true, value: file.value.config } : file,
    liveMemoryMib: counters.ok
      ? { ok: true, value: limit === undefined ? undefined : bytesToMib(limit) }
      : counters,
    liveCpus: cpu.ok ? { ok: true, value: cpu.value.cpusetCpus } : cpu,
  };
}

async function settle(
  world: World,
  planned: PlannedChange,
  before: Target,
  verdict: Verification,
  outcome: CommandOutcome,
  context: ChangeContext,
): Promise<ChangeResult> {
  const said = outcome.kind === 'done' ? undefined : outcomeWords(outcome);
  switch (verdict.kind) {
    case 'confirmed':
    case 'pending':
      return accepted(world, planned, verdict, said);
    case 'unchanged': {
      const note = said ?? 'pct reported success, and nothing has changed';
      return { kind: 'failed', note: `Nothing was changed: ${note}` };
    }
    case 'unknown':
      return { kind: 'failed', note: `What came of it is not known: ${verdict.detail}` };
    case 'changed-by-others': {
      const note = `Left as it is, since somebody else changed it meanwhile (${verdict.found})`;
      return { kind: 'failed', note: said === undefined ? note : `${note}; ${said}` };
    }
    case 'half-done':
      return putBack(world, planned, before, `${said ?? 'half done'} (${verdict.found})`, context);
  }
}

function accepted(
  { cgroups }: World,
  planned: PlannedChange,
  verdict: Verification & { kind: 'confirmed' | 'pending' },
  said: string | undefined,
): ChangeResult {
  const notes: string[] = [];
  if (said !== undefined) notes.push(`It is in force, though ${said}.`);
  if (verdict.kind === 'pending') {
    notes.push('Its cores come into force when pvestatd next rebalances, in about 10 s.');
  }
  const sample = cgroups.sample(planned.vmid);
  if (!sample.ok && sample.why === 'absent') {
    return { kind: 'failed', note: 'The container stopped while it was changed; please look.' };
  }
  return { kind: verdict.kind, ...(notes.length > 0 && { note: notes.join(' ') }) };
}

/** Restores the values before, unless that would take memory that is in use by now. */
async function putBack(
  world: World,
  planned: PlannedChange,
  before: Target,
  why: string,
  context: ChangeContext,
): Promise<ChangeResult> {
  const failed = (note: string): ChangeResult => ({
    kind: 'failed',
    note: `Half done and NOT put back (${note}): ${why}. Please look at container ${planned.vmid}.`,
  });
  const file = world.guests.read(planned.vmid);
  if (!file.ok) return failed(file.detail);
  const needMib = needNow(world.cgroups.sample(planned.vmid));
  if (before.memoryMib !== undefined && (needMib === undefined || needMib > before.memoryMib)) {
    return failed('it needs more memory now than it had before');
  }
  const reason = `Putting back what was half done: ${why}`;
  const backup = world.backups.write(file.value, { reason });
  if (!backup.ok) return failed(`no backup: ${backup.message}`);
  const request: SetRequest = {
    vmid: planned.vmid,
    ...before,
    digest: file.value.config.digest,
  };
  const outcome = await world.proxmox.set(request, context.stop);
  const verdict = verify({}, before, readBack(world, planned), context.hostCpus);
  if (verdict.kind === 'confirmed' || verdict.kind === 'pending') {
    return { kind: 'rolled-back', note: `The values before are back in force: ${why}` };
  }
  return failed(outcome.kind === 'done' ? 'pct set did not help' : outcomeWords(outcome));
}

function outcomeWords(outcome: Exclude<CommandOutcome, { kind: 'done' }>): string {
  switch (outcome.kind) {
    case 'failed':
      return `pct exited with ${outcome.exitCode}: ${outcome.message}`;
    case 'timed-out':
      return `pct did not end within ${Math.round(outcome.afterMs / 1000)} s and was ended`;
    case 'killed':
      return `pct was killed by ${outcome.signal}`;
    case 'not-started':
      return `pct could not be started: ${outcome.message}`;
  }
}
