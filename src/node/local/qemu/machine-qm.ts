import { LONGEST_QM_MS } from '../../../core/pending.ts';
import { type Milliseconds, milliseconds, type Vmid } from '../../../core/units.ts';
import { runCommand } from '../../../os/command.ts';
import { machineChange, qmArguments } from '../../guests/qm.ts';
import type { CommandOutcome, NodeHands, SetRequest } from '../../port.ts';
import { commandEnvironment, outcomeOf } from '../outcome-values.ts';
import type { LocalMachines } from './machine-guests.ts';

/** `qm`, the node's own tool for virtual machines. */

/** It waits 10 s for a lock, and an overloaded node adds to that. */
const TIME_LIMIT_MS = 40_000;
/** A CPU is waited for up to 10 times a second when plugged in, and 6 times when taken out. */
const MS_A_CPU = 11_000;
/** So is a module, 6 times 3 s; growth by one takes a second. */
const MS_A_MODULE = 18_000;
const MODULE_MIB = 512;
const STOP_GRACE_MS = milliseconds(3000);
const OUTPUT_LIMIT_BYTES = 64 * 1024;

export interface QmOptions {
  /** The environment of this process; only `PATH` and `HOME` of it are handed on. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly timeLimitMs?: Milliseconds;
  /** Who runs it; this host if nobody else is named. */
  readonly run?: (vmid: Vmid) => typeof runCommand;
}

/** Changes machines through `qm`. It is found by PATH. */
export function createQm(machines: LocalMachines, options: QmOptions): Pick<NodeHands, 'apply'> {
  const env = commandEnvironment(options.environment);
  const runOf = options.run ?? (() => runCommand);
  return {
    async apply(request, stop, cancel): Promise<CommandOutcome> {
      const file = machines.read(request.vmid);
      if (!file.ok) return { kind: 'not-started', message: file.detail };
      const { config } = file.value;
      const asked = machineChange(config, request);
      if (!asked.ok) return { kind: 'not-started', message: asked.why };
      const timeLimitMs = options.timeLimitMs ?? limitOf(request, config);
      const result = await runOf(request.vmid)('qm', qmArguments(request.vmid, asked.settings), {
        timeLimitMs,
        env,
        stop,
        cancel,
        stopGraceMs: STOP_GRACE_MS,
        outputLimitBytes: OUTPUT_LIMIT_BYTES,
      });
      return outcomeOf(result, `qm set ${request.vmid}`, timeLimitMs);
    },
  };
}

/** What is plugged in or taken out takes its time, piece by piece. */
function limitOf(
  { cores, memoryMib, unplugs }: SetRequest,
  config: { readonly cores: number | null; readonly assignedMib?: number },
): Milliseconds {
  const cpus = typeof cores === 'number' ? Math.abs(cores - (config.cores ?? cores)) : 0;
  const plugged = Math.max(0, (memoryMib ?? 0) - (config.assignedMib ?? 0));
  const modules = unplugs ? 1 : Math.ceil(plugged / MODULE_MIB);
  const neededMs = TIME_LIMIT_MS + cpus * MS_A_CPU + modules * MS_A_MODULE;
  return milliseconds(Math.min(neededMs, LONGEST_QM_MS));
}
