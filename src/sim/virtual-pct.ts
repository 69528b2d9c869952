import { milliseconds } from '../core/units.ts';
import { changeOf, whatIsWrongWith } from '../node/guests/lxc-change.ts';
import { failureWords } from '../node/pct-words.ts';
import type { CommandOutcome, SetRequest } from '../node/port.ts';
import type { Answer } from './command-line.ts';
import { ConfigLocks } from './config-locks.ts';
import type { Fault } from './faults.ts';
import type { HalfDone } from './pct-context.ts';
import { setConfig } from './pct-set.ts';
import type { VirtualMachine } from './virtual-machine.ts';

/** `pct set` without a process: the simulator's rules, and the time that it takes. */

/** As long as the program waits for a command before it ends it. */
const TIME_LIMIT_MS = 40_000;
/** Time of a command that goes to starting it and to reading the configuration. */
const BEFORE_WORK = 0.9;

export interface VirtualPctParts {
  readonly machine: VirtualMachine;
  readonly sleep: (ms: number) => Promise<void>;
  /** A real one takes about 600. */
  readonly commandMs: number;
}

export async function virtualSet(
  parts: VirtualPctParts,
  request: SetRequest,
  fault: Fault | undefined,
  cancel?: AbortSignal,
): Promise<CommandOutcome> {
  const { sleep, commandMs } = parts;
  const wrong = whatIsWrongWith(request);
  if (wrong !== undefined) return { kind: 'not-started', message: wrong };
  const takesMs = fault?.kind === 'slow' ? fault.delayMs : commandMs;
  await sleep(takesMs * BEFORE_WORK);
  if (cancel?.aborted) {
    return { kind: 'killed', signal: 'SIGTERM', message: 'pct set was not wanted any more' };
  }
  const outcome = await obey(parts, request, fault);
  await sleep(takesMs * (1 - BEFORE_WORK));
  return outcome;
}

async function obey(
  parts: VirtualPctParts,
  request: SetRequest,
  fault: Fault | undefined,
): Promise<CommandOutcome> {
  switch (fault?.kind) {
    case 'fail':
      return failure(fault.exit, fault.stderr ?? '');
    case 'no-effect':
      return { kind: 'done' };
    case 'answer':
      return outcomeOf(fault.make(await work(parts, request)));
    case 'killed': {
      await work(parts, request, fault.done);
      const signal = fault.signal ?? 'SIGKILL';
      return { kind: 'killed', signal, message: `pct set was ended by ${signal} from outside` };
    }
    case 'hang': {
      if (fault.afterWork) await work(parts, request);
      await parts.sleep(TIME_LIMIT_MS);
      const message = `pct set took longer than ${TIME_LIMIT_MS / 1000} s and was ended`;
      return { kind: 'timed-out', afterMs: milliseconds(TIME_LIMIT_MS), message };
    }
    default:
      return outcomeOf(await work(parts, request));
  }
}

async function work(
  { machine }: VirtualPctParts,
  request: SetRequest,
  half?: HalfDone,
): Promise<Answer> {
  const context = {
    machine,
    locks: new ConfigLocks(),
    lockTimeoutMs: 0,
    utf8: true,
    aborted: () => false,
    ...(half === undefined ? {} : { half }),
  };
  const options = optionsOf(request);
  return setConfig(
    context,
    request.vmid,
    { vmid: request.vmid, values: [], options, extra: [] },
    '',
  );
}

function optionsOf(request: SetRequest): Map<string, string> {
  const { set, remove } = changeOf(request);
  const deleted = remove.length > 0 ? [['delete', remove.join(',')] as const] : [];
  return new Map([...set, ...deleted, ['digest', request.digest]]);
}

const outcomeOf = ({ exit, stderr }: Answer): CommandOutcome =>
  exit === 0 ? { kind: 'done' } : failure(exit, stderr);

const failure = (exitCode: number, stderr: string): CommandOutcome => ({
  kind: 'failed',
  exitCode,
  ...failureWords(exitCode, stderr),
});
