import type { Milliseconds } from '../../../core/units.ts';
import { milliseconds } from '../../../core/units.ts';
import { runCommand } from '../../../os/command.ts';
import { changeOf, whatIsWrongWith } from '../../guests/lxc-change.ts';
import type { CommandOutcome, NodeHands, SetRequest } from '../../port.ts';
import { commandEnvironment, outcomeOf } from '../outcome-values.ts';

/** `pct`, the node's own tool for containers: what is asked of it, and what became of it. */

/** `pct set` waits 10 s for a container's lock, and an overloaded node adds to that. */
const TIME_LIMIT_MS = milliseconds(40_000);
/** A change in hand may finish when the daemon stops; with what follows it stays under 10 s. */
const STOP_GRACE_MS = milliseconds(3_000);
const OUTPUT_LIMIT_BYTES = 64 * 1024;

export interface PctOptions {
  /** The environment of this process; only `PATH` and `HOME` of it are handed on. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly timeLimitMs?: Milliseconds;
  readonly stopGraceMs?: Milliseconds;
  /** Who runs it; this host if nobody else is named. */
  readonly run?: typeof runCommand;
}

/** Changes containers through `pct`. It is found by PATH. */
export function createPct(options: PctOptions): Pick<NodeHands, 'apply'> {
  const timeLimitMs = options.timeLimitMs ?? TIME_LIMIT_MS;
  const env = commandEnvironment(options.environment);
  const run = options.run ?? runCommand;
  return {
    async apply(request, stop, cancel): Promise<CommandOutcome> {
      const wrong = whatIsWrongWith(request);
      if (wrong !== undefined) return { kind: 'not-started', message: wrong };
      const result = await run('pct', setArguments(request), {
        timeLimitMs,
        env,
        stop,
        cancel,
        stopGraceMs: options.stopGraceMs ?? STOP_GRACE_MS,
        outputLimitBytes: OUTPUT_LIMIT_BYTES,
      });
      return outcomeOf(result, `pct set ${request.vmid}`, timeLimitMs);
    },
  };
}

/**
 * The arguments of one `pct set` that brings about all of a request. With the digest, `pct` refuses
 * to change a configuration that is no longer the one that the request was decided on.
 */
export function setArguments(request: SetRequest): string[] {
  const { set, remove } = changeOf(request);
  const args = ['set', String(request.vmid)];
  if (remove.length > 0) args.push('--delete', remove.join(','));
  for (const [key, value] of set) args.push(`--${key}`, value);
  args.push('--digest', request.digest);
  return args;
}
