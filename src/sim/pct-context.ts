import { type Answer, failure } from './command-line.ts';
import type { ConfigLocks } from './config-locks.ts';
import type { GuestConf } from './guest-conf.ts';
import type { Machine } from './machine.ts';
import type { PveFiles } from './pve-files.ts';

/** What every command works with, and the checks that most of them begin with. */

/**
 * How much of a `pct set` still happens when the process is killed in the middle of it. It changes
 * what is live first and writes the configuration last.
 */
export type HalfDone = 'first-option' | 'live-only';

/** How `pct clone` goes. By default it takes no time. */
export interface CloneBehaviour {
  readonly durationMs?: number;
  /** After that time it fails, and tidies up. */
  readonly failure?: { readonly exit: number; readonly stderr: string };
  /** Prints nothing, as on ZFS. */
  readonly silent?: boolean;
  /** The thin pool has been promised more than it has, which LVM says among the progress. */
  readonly thinWarnings?: boolean;
  /** Ends with the process that called it, and leaves everything as it is then. */
  readonly diesWithCaller?: boolean;
}

export interface CommandContext {
  readonly machine: Machine;
  readonly locks: ConfigLocks;
  readonly lockTimeoutMs: number;
  /** Whether the caller's locale is a UTF-8 one. */
  readonly utf8: boolean;
  /** Whether the caller has gone away meanwhile. */
  readonly aborted: () => boolean;
  readonly half?: HalfDone;
  readonly cloneBehaviour?: (newid: number) => CloneBehaviour | undefined;
}

/** The part of a node that `pct set` works on. */
export type SettableMachine = Pick<
  Machine,
  'applyLimits' | 'conf' | 'note' | 'running' | 'save' | 'touchLockFile'
> & { readonly files: Pick<PveFiles, 'canWrite' | 'read' | 'relativePath'> };

export interface SetContext extends Omit<CommandContext, 'machine'> {
  readonly machine: SettableMachine;
}

export const lines = (texts: readonly string[]): string =>
  texts.map((text) => `${text}\n`).join('');

export const nameOf = (vmid: number, conf: GuestConf): string =>
  conf.main.values.get('hostname') ?? `CT${vmid}`;

export const noConfiguration = (context: SetContext, vmid: number, exit = 2): Answer =>
  failure(
    exit,
    `Configuration file '${context.machine.files.relativePath(vmid)}' does not exist\n`,
  );

/** What a command says that could not write a configuration: no quorum. */
export const unwritable = (context: SetContext, vmid: number, exit: number): Answer => {
  const file = `/etc/pve/${context.machine.files.relativePath(vmid)}.tmp.${process.pid}`;
  return failure(exit, `unable to open file '${file}' - Permission denied\n`);
};

/** The refusal of a container with a `lock:` line, or undefined. */
export function lockedAnswer(conf: GuestConf): Answer | undefined {
  const lock = conf.main.values.get('lock');
  return lock === undefined ? undefined : failure(255, `CT is locked (${lock})\n`);
}

/** Does the work of a command with its configuration, or says that there is none. */
export function withConf(
  context: CommandContext,
  vmid: number,
  work: (conf: GuestConf) => Answer,
): Answer {
  const conf = context.machine.conf(vmid);
  if (conf === undefined) return noConfiguration(context, vmid);
  const result = work(conf);
  return { ...result, stderr: lines(conf.warnings) + result.stderr };
}

/** Holds the lock file of a container while it works; without it after the time limit, exit 4. */
export async function withLock(
  context: SetContext,
  vmid: number,
  work: () => Answer,
): Promise<Answer> {
  const { locks, machine } = context;
  const file = machine.touchLockFile(vmid);
  let waited = '';
  if (!locks.tryHold(vmid)) {
    waited = 'trying to acquire lock...\n';
    const held = await locks.hold(vmid, context.lockTimeoutMs);
    if (!held) return failure(4, `${waited}can't lock file '${file}' - got timeout\n`);
    waited += ' OK\n';
  }
  try {
    // A command that was killed while it waited does nothing more.
    if (context.aborted()) return failure(255, 'interrupted by signal\n');
    const result = work();
    return { ...result, stderr: waited + result.stderr };
  } finally {
    locks.release(vmid);
  }
}
