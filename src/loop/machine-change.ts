import type { Allocation } from '../core/allocation.ts';
import { explainUnproven } from '../core/explain.ts';
import { guestState } from '../core/guest-state.ts';
import type { CgroupSample } from '../core/observation.ts';
import type { Reading } from '../core/reading.ts';
import { refuseMemory } from '../core/rollback.ts';
import { bytesToMib, type Mib, mib, type Vmid } from '../core/units.ts';
import { type MachineVerdict, verifyMachine } from '../core/verify-machine.ts';
import type { CommandOutcome, SetRequest } from '../node/port.ts';
import type { ActingWorld, World } from '../ports.ts';
import { type Dropped, dropPending } from './left-pending.ts';
import { NEED_UNSEEN, outcomeWords } from './read-back.ts';
import type { ApplyContext, ChangeResult, Tried, Wish } from './wish.ts';

/**
 * A change of a virtual machine: the part of the executor for a guest whose levers move piece by
 * piece. What its guest refuses stays pending and would take effect at the next start, so it is
 * dropped, and that is read back.
 */
export async function setMachine(
  world: ActingWorld,
  { vmid, decidedOn, before, target }: Wish,
  request: SetRequest,
  context: ApplyContext,
): Promise<Tried> {
  const outcome = await world.hands.apply(request, context.stop);
  const left = await dropPending(world, decidedOn, target, outcome, context);
  const verdict = await lookAt(world, vmid, before, target);
  const isKept = request.unplugs === true && verdict.kind === 'unchanged';
  const result = {
    ...(isKept && outcome.kind === 'failed' && left.isDropped && !left.isUnsettled
      ? keptModule(target, outcome.message)
      : resultOf(target, outcome, verdict, left)),
    ...(left.isUnsettled && { unsettled: true as const }),
  };
  return { outcome, result };
}

/** That a guest keeps a module is usual, and keeps nobody from giving it more. */
function keptModule({ memoryMib = mib(0) }: Partial<Allocation>, message: string): ChangeResult {
  const unproven = { kind: 'module-kept', limitMib: memoryMib, message } as const;
  return { kind: 'unproven', note: explainUnproven(unproven), unproven };
}

/** Before memory is taken its guest is asked once more, by the look that precedes each change. */
export function whyTooLittle(
  { cgroups }: World,
  { vmid, decidedOn, target }: Wish,
): string | undefined {
  const { memoryMib } = target;
  if (memoryMib === undefined || memoryMib >= decidedOn.memoryMib) return undefined;
  if (cgroups.capabilities(vmid)?.workingSet === false) return NEED_UNSEEN;
  return refuseMemory(cgroups.sample(vmid), memoryMib);
}

async function lookAt(
  world: ActingWorld,
  vmid: Vmid,
  before: Partial<Allocation>,
  target: Partial<Allocation>,
): Promise<MachineVerdict> {
  await world.inspect(vmid);
  const file = world.guests.read(vmid);
  const config = file.ok ? ({ ok: true, value: file.value.config } as const) : file;
  const state = guestState(world.cgroups.sample(vmid));
  const liveCpuLimit = world.cgroups.cpuLimit(vmid);
  const hardwareMib = hardwareOf(world.cgroups.sample(vmid));
  return verifyMachine(before, target, { state, config, liveCpuLimit, hardwareMib });
}

/** What QEMU says that is plugged in. */
const hardwareOf = (sample: Reading<CgroupSample>): Mib | undefined => {
  const memory = sample.ok && sample.value.memory.ok ? sample.value.memory.value : undefined;
  return memory?.hardwareBytes === undefined ? undefined : bytesToMib(memory.hardwareBytes);
};

const GONE =
  'It is not on this node any more, so what came of it is not known; `qm pending` on its node ' +
  'shows what waits for its next start';

function resultOf(
  target: Partial<Allocation>,
  outcome: CommandOutcome,
  verdict: MachineVerdict,
  left: Dropped,
): ChangeResult {
  const said = outcome.kind === 'done' ? undefined : outcomeWords(outcome, 'qm');
  const why = said ?? 'success was reported';
  const { isDropped, problem } = left;
  const danger =
    problem === undefined ? '' : `. What it refused takes effect at its next start: ${problem}`;
  const dropped = isDropped ? '; nothing of it is left pending' : '';
  switch (verdict.kind) {
    case 'confirmed':
      if (problem !== undefined) {
        return { kind: 'failed', inForce: target, note: `It is active${danger}.` };
      }
      return said === undefined
        ? { kind: 'confirmed' }
        : { kind: 'confirmed', note: `It is active, though ${said}.` };
    case 'unchanged':
      return { kind: 'failed', note: `Nothing was changed: ${why}${dropped}${danger}` };
    case 'partly': {
      const note = `It has ${verdict.found} now: ${why}${dropped}${danger}`;
      return { kind: 'partly', inForce: verdict.now, note };
    }
    case 'changed-by-others': {
      const found = `Left as it is, since somebody else changed it meanwhile (${verdict.found})`;
      return { kind: 'failed', byOthers: true, note: `${found}${danger}` };
    }
    case 'gone':
      return { kind: 'failed', note: GONE };
    case 'unknown':
      return { kind: 'failed', note: `What came of it is not known: ${verdict.detail}${danger}` };
  }
}
