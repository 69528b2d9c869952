import { networkInterfaces } from 'node:os';
import type { FailureWhy } from '../../../core/failure-why.ts';
import { broadcastOf } from '../../../core/groups/addresses.ts';
import { plainText } from '../../../core/plain-text.ts';
import { missing, present, type Reading } from '../../../core/reading.ts';
import { type Milliseconds, milliseconds, type Vmid } from '../../../core/units.ts';
import { type CommandResult, isGroupAlive, runCommand, runDetached } from '../../../os/command.ts';
import { makeDirectories } from '../../../os/directories.ts';
import { describeError } from '../../../os/os-error.ts';
import { whyNotTrusted } from '../../../os/trusted-file.ts';
import { complaintIn } from '../../pct-words.ts';
import type {
  CommandOutcome,
  CommandWatch,
  GroupCommand,
  GroupEyes,
  GroupHands,
} from '../../port.ts';
import { commandEnvironment, outcomeOf } from '../outcome-values.ts';
import type { Paths } from '../paths.ts';
import { addressIn, isId, parseAnswer, storageRoomIn } from './pvesh-values.ts';

/** What groups ask of `pct` and `pvesh`. Found by PATH. */

export interface GroupToolsOptions {
  readonly paths: Paths;
  /** The environment of this process; only `PATH` and `HOME` of it are handed on. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const OUTPUT_DIRECTORY = '/run/lxc_autoscale';
const QUERY_LIMIT_MS = milliseconds(30_000);
const OUTPUT_LIMIT_BYTES = 4 * 1024 * 1024;
/** A container gets so long to shut down before it is ended. */
const SHUTDOWN_S = 60;

/** Time limits: a full clone copies all of a disk, and some storages take long to remove one. */
const LIMITS_MS: Readonly<Record<GroupCommand['kind'], number>> = {
  snapshot: 600_000,
  'delete-snapshot': 1_800_000,
  clone: 3_600_000,
  set: 60_000,
  start: 180_000,
  shutdown: SHUTDOWN_S * 1000 + 60_000,
  resize: 600_000,
  rollback: 1_800_000,
  destroy: 1_800_000,
  unlock: 60_000,
};

/**
 * Set by the service, whose sandbox keeps mounts and disks from what it starts: such commands run
 * beside it, in a transient unit of their own, which ends whole when its time is over.
 * `systemd-run` waits for that unit, and lives on when the service is stopped.
 */
const BESIDE_VARIABLE = 'LXC_AUTOSCALE_BESIDE';

const BESIDE_GRACE_MS = 10_000;

export interface CommandLine {
  readonly file: string;
  readonly args: readonly string[];
}

function besideService(
  { file, args }: CommandLine,
  env: Readonly<Record<string, string>>,
  limitMs: number,
): CommandLine {
  const variables = Object.entries(env).map(([name, value]) => `--setenv=${name}=${value}`);
  const limit = `--property=RuntimeMaxSec=${Math.ceil(limitMs / 1000)}`;
  const how = ['--quiet', '--collect', '--wait', '--pipe', limit, ...variables];
  return { file: 'systemd-run', args: [...how, '--', file, ...args] };
}

/** How a node is asked and told; what is asked and told is the same for all. */
export interface GroupBackend {
  readonly nodeName: () => string;
  /** `pvesh`, whose answer is waited for. */
  readonly query: (args: readonly string[], limitMs: Milliseconds) => Promise<CommandResult>;
  /** @param vmid whom it is about */
  readonly command: (
    line: CommandLine,
    vmid: Vmid,
    limitMs: Milliseconds,
    watch?: CommandWatch,
  ) => Promise<CommandResult>;
  readonly hook: GroupHands['hook'];
  readonly ownAddresses: GroupEyes['ownAddresses'];
  readonly isAlive: GroupEyes['isAlive'];
}

export function groupTools(backend: GroupBackend): GroupEyes & GroupHands {
  const { nodeName, hook, ownAddresses, isAlive } = backend;
  const query = async (args: readonly string[]): Promise<QueryResult> => {
    const whole = ['get', ...args, '--output-format', 'json'];
    return queryResult(await backend.query(whole, QUERY_LIMIT_MS), whole);
  };
  return {
    async run(command, watch) {
      const args = groupArguments(command);
      const limitMs = watch?.timeLimitMs ?? milliseconds(LIMITS_MS[command.kind]);
      const file = command.machine === true ? 'qm' : 'pct';
      const result = await backend.command({ file, args }, command.vmid, limitMs, watch);
      return commandOutcome(result, `${file} ${args.slice(0, 2).join(' ')}`, limitMs);
    },
    async isIdFree(vmid) {
      const { answer, why } = await query(['/cluster/nextid', '--vmid', `${vmid}`]);
      if (answer.ok) return present(isId(answer.value, vmid));
      return why === 'exists' ? present(false) : answer;
    },
    async storageRooms(source) {
      const { answer } = await query(['/cluster/resources']);
      return (storage) =>
        answer.ok ? storageRoomIn(answer.value, nodeName(), storage, source) : answer;
    },
    async addressOf(vmid) {
      const { answer } = await query([`/nodes/${nodeName()}/lxc/${vmid}/interfaces`]);
      return answer.ok ? addressIn(answer.value, ownAddresses()) : answer;
    },
    hook,
    ownAddresses,
    isAlive,
  };
}

export function createGroupTools(options: GroupToolsOptions): GroupEyes & GroupHands {
  const { paths, environment } = options;
  const env = commandEnvironment(environment);
  const detached = detachedIn(options);
  return groupTools({
    nodeName: () => paths.nodeName(),
    query: (args, timeLimitMs) =>
      runCommand('pvesh', args, {
        timeLimitMs,
        stopGraceMs: 0,
        env,
        stop: new AbortController().signal,
        outputLimitBytes: OUTPUT_LIMIT_BYTES,
      }),
    command: (line, _, limitMs, watch) => detached(line, limitMs, watch),
    hook: createHook(options),
    ownAddresses,
    isAlive: (pid) => (pid === undefined ? undefined : isGroupAlive(pid)),
  });
}

/** An administrator's own program, on this host, whichever node it is about. */
export function createHook(options: GroupToolsOptions): GroupHands['hook'] {
  const detached = detachedIn(options);
  return async ([file = '', ...args], timeLimitMs) => {
    const wrong = whyNotTrusted(file);
    if (wrong !== undefined) {
      return { kind: 'not-started', message: plainText(`${file} is not run: it ${wrong}`) };
    }
    return commandOutcome(await detached({ file, args }, timeLimitMs), file, timeLimitMs);
  };
}

type Detached = (
  line: CommandLine,
  limitMs: Milliseconds,
  watch?: CommandWatch,
) => Promise<CommandResult>;

function detachedIn({ paths, environment }: GroupToolsOptions): Detached {
  const isService = environment[BESIDE_VARIABLE] === '1';
  const env = commandEnvironment(environment);
  const directory = paths.at(OUTPUT_DIRECTORY);
  return async (plain, limitMs, { onStart } = {}) => {
    try {
      makeDirectories(directory, 0o700);
    } catch (error) {
      return { kind: 'not-started', message: `${directory}: ${describeError(error)}` };
    }
    const { file, args } = isService ? besideService(plain, env, limitMs) : plain;
    // The unit ends first, and with it what waits for it.
    const timeLimitMs = milliseconds(isService ? limitMs + BESIDE_GRACE_MS : limitMs);
    return runDetached(file, args, { env, directory, timeLimitMs, ...(onStart && { onStart }) });
  };
}

function commandOutcome(
  result: CommandResult,
  words: string,
  limitMs: Milliseconds,
): CommandOutcome {
  if (!('stderr' in result)) return outcomeOf(result, words, limitMs);
  return outcomeOf({ ...result, stderr: complaintIn(result.stderr) }, words, limitMs);
}

/** IPv4 addresses of this node, and those by which it reaches all of its networks. */
export function ownAddresses(): ReadonlySet<string> {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const own = all.filter(({ family }) => family === 'IPv4');
  return new Set(own.flatMap(({ address, netmask }) => [address, broadcastOf(address, netmask)]));
}

/** The arguments of `pct` or `qm`, one array element each. */
export function groupArguments(command: GroupCommand): readonly string[] {
  const id = `${command.vmid}`;
  switch (command.kind) {
    case 'snapshot':
      return ['snapshot', id, command.name, '--description', command.description];
    case 'delete-snapshot':
      return ['delsnapshot', id, command.name, ...(command.force ? ['--force'] : [])];
    case 'clone': {
      const { source, hostname, description, snapshot, full } = command;
      const name = command.machine === true ? '--name' : '--hostname';
      const args = ['clone', `${source}`, id, name, hostname, '--description', description];
      if (snapshot !== undefined) args.push('--snapname', snapshot);
      if (full) args.push('--full');
      return args;
    }
    case 'set': {
      const args = ['set', id];
      if (command.remove.length > 0) args.push('--delete', command.remove.join(','));
      for (const [key, value] of command.set) args.push(`--${key}`, value);
      return [...args, '--digest', command.digest];
    }
    case 'resize':
      return ['resize', id, command.disk, `+${command.moreGib}G`, '--digest', command.digest];
    case 'rollback':
      return ['rollback', id, command.name, ...(command.start ? ['--start', '1'] : [])];
    case 'shutdown':
      return ['shutdown', id, '--forceStop', '1', '--timeout', `${SHUTDOWN_S}`];
    case 'destroy':
      return ['destroy', id, '--purge'];
    case 'start':
    case 'unlock':
      return [command.kind, id];
  }
}

interface QueryResult {
  /** What `pvesh ... --output-format json` printed, or why there is nothing. */
  readonly answer: Reading<unknown>;
  readonly why?: FailureWhy;
}

function queryResult(result: CommandResult, args: readonly string[]): QueryResult {
  const limitMs = QUERY_LIMIT_MS;
  const outcome = outcomeOf(result, `pvesh ${args.slice(0, 2).join(' ')}`, limitMs);
  if (outcome.kind !== 'done') {
    const stderr = 'stderr' in result ? ` ${result.stderr.replace(/\s+/g, ' ').slice(0, 300)}` : '';
    const answer = missing('unreadable', `pvesh: ${outcome.message};${stderr}`);
    return outcome.kind === 'failed' ? { answer, why: outcome.why } : { answer };
  }
  return { answer: parseAnswer('stdout' in result ? result.stdout : '') };
}
