import { withUnit } from '../explain.ts';
import type { ContainerObservation, Pin } from '../observation.ts';
import { cpuPin, hasOwnCpuset } from '../pins.ts';
import { plainText } from '../plain-text.ts';
import type { ContainerPolicy } from '../policy.ts';
import { type Guard, guard, percent, percentOf, secondsOf, short } from './fact.ts';
import type { Course, ReportInput } from './report-input.ts';

/** What may keep CPU from being changed, besides what holds for memory too. */
export function coresGuards(
  container: ContainerObservation,
  { decided }: Course,
  { cpu }: ContainerPolicy,
  input: ReportInput,
): readonly Guard[] {
  const { config } = container;
  const limit = config.ok && cpu.unit === 'cores' ? config.value.cpuLimit : null;
  const has = decided?.measured?.before;
  const binds = limit !== null && has !== undefined && limit < has;
  const beside = limit === null ? 'none beside the cores' : withUnit('cores', short(limit));
  const pin = config.ok ? cpuPin(config.value, cpu.unit) : undefined;
  return [
    ...rawLineGuard(container, pin),
    guard('cpulimit', binds, beside, { cpuLimit: limit === null ? null : short(limit) }),
    inForceGuard(container, input),
    ceilingGuard(has, decided?.verdict === 'grow' ? decided.norm : undefined, input),
    busyGuard(input),
  ];
}

/** A line beside the keys of Proxmox VE; only containers can have one. */
export function rawLineGuard(
  { config }: ContainerObservation,
  pin: Pin | undefined,
): readonly Guard[] {
  if (config.ok && config.value.kind === 'qemu') return [];
  return [guard('raw line', pin !== undefined, pin === undefined ? 'none' : plainText(pin.line))];
}

/** `pvestatd` brings cores into force some seconds after they are configured. */
function inForceGuard(
  { vmid, config, state: seen }: ContainerObservation,
  { host, state, nowMs }: ReportInput,
): Guard {
  const live = seen.kind === 'running' ? seen.usage.cpusetCpus : undefined;
  const all = host.cpus.ok ? host.cpus.value : undefined;
  const isOwn = config.ok && hasOwnCpuset(config.value);
  const wanted = config.ok && !isOwn ? (config.value.cores ?? all) : undefined;
  const configured = wanted === undefined ? undefined : Math.min(wanted, all ?? wanted);
  const agrees = live === configured || live === wanted;
  const differs = live !== undefined && configured !== undefined && !agrees;
  const pending = state.guests.get(vmid)?.life.pendingCores;
  const since = pending === undefined ? '' : `, since ${secondsOf(nowMs - pending.sinceMs)} s`;
  const says = isOwn ? 'none' : (configured ?? 'unknown');
  const where = config.ok && config.value.kind === 'qemu' ? 'in the machine' : 'in its cpuset';
  const words = `${says} configured, ${live ?? 'unknown'} ${where}`;
  return guard('not active yet', differs || pending !== undefined, `${words}${since}`, {
    configured: configured ?? null,
    live: live ?? null,
  });
}

function ceilingGuard(
  has: number | undefined,
  norm: number | undefined,
  { available }: ReportInput,
): Guard {
  const { coresCeiling } = available;
  if (!coresCeiling.ok) {
    return guard('host ceiling', true, `not known: ${plainText(coresCeiling.detail)}`);
  }
  const most = Math.max(coresCeiling.value, norm ?? 0);
  const says = `${withUnit('cores', most)} for one guest, with the host's reserve kept`;
  return guard('host ceiling', has !== undefined && has >= most, says, { ceiling: most });
}

function busyGuard({ available, state, hostPolicy }: ReportInput): Guard {
  const holds = available.coresRefused !== undefined;
  const busy = state.hostCpu?.busy;
  if (busy === undefined) return guard('host busy', holds, 'not known yet');
  const most = percent(hostPolicy.mostCpu);
  const says = `its CPUs are ${percent(busy)} busy; from ${most} on cores wait`;
  return guard('host busy', holds, says, { percent: percentOf(busy) });
}
