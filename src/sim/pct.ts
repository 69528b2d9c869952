import { type Answer, type Arguments, answer, failure, parseArguments } from './command-line.ts';
import { type CommandContext, unwritable } from './pct-context.ts';
import { clone, destroy, mount, reboot, start, stop, unlock, unmount } from './pct-lifecycle.ts';
import { config, cpusets, df, exec, list, pending, STOPPING_NOISE, status } from './pct-reads.ts';
import { setConfig } from './pct-set.ts';
import { PCT_USAGE, pctShape } from './pct-shapes.ts';
import { delsnapshot, listsnapshot, resize, rollback, snapshot } from './pct-snapshots.ts';

/** `pct`, the container tool of Proxmox VE, on a simulated node. */

type Handler = (
  context: CommandContext,
  args: Arguments,
  usage: string,
) => Answer | Promise<Answer>;

const HANDLERS: Readonly<Record<string, Handler>> = {
  clone,
  config,
  cpusets,
  delsnapshot,
  destroy,
  df,
  exec,
  help: () => answer(PCT_USAGE),
  list,
  listsnapshot,
  mount,
  pending,
  reboot,
  resize,
  rollback,
  set: (context, args, usage) => setConfig(context, args.vmid, args, usage),
  shutdown: stop,
  snapshot,
  start,
  status,
  stop,
  unlock,
  unmount,
};

const UNREACHABLE = [1, 2, 3]
  .map((attempt) => `ipcc_send_rec[${attempt}] failed: Connection refused\n`)
  .join('');
const NO_QUORUM = 'cluster not ready - no quorum?\n';

/** What a command says that finds no quorum, or no pve-cluster; undefined: it goes its way. */
function unwritableAnswer(
  context: CommandContext,
  command: string,
  vmid: number,
): Answer | undefined {
  const { machine } = context;
  if (!machine.files.runs) {
    return failure(111, `${UNREACHABLE}Unable to load access control list: Connection refused\n`);
  }
  if (machine.files.canWrite) return undefined;
  switch (command) {
    case 'clone':
    case 'destroy':
      return failure(255, NO_QUORUM);
    case 'start':
      return machine.running(vmid) === undefined ? failure(255, NO_QUORUM) : undefined;
    case 'delsnapshot':
    case 'mount':
    case 'resize':
    case 'rollback':
    case 'snapshot':
    case 'unlock':
      return unwritable(context, vmid, 255);
    default:
      return undefined;
  }
}

/** Answers `pct WORDS...` as the recorded tool does. */
export async function pct(context: CommandContext, words: readonly string[]): Promise<Answer> {
  const [command, ...rest] = words;
  if (command === undefined) return failure(255, `ERROR: no command specified\n${PCT_USAGE}`);
  const shape = pctShape(command);
  if (shape === undefined) {
    return failure(255, `ERROR: unknown command 'pct ${command}'\n${PCT_USAGE}`);
  }
  const parsed = parseArguments(shape, rest);
  if (!parsed.ok) return parsed.answer;
  const handler = Object.hasOwn(HANDLERS, command) ? HANDLERS[command] : undefined;
  if (handler === undefined) {
    return failure(255, `the simulated node does not do 'pct ${command}'\n`);
  }
  const { vmid } = parsed.arguments;
  const noise = context.machine.stopping.has(vmid) && !READS_FILES.has(command);
  const refused = unwritableAnswer(context, command, vmid);
  const result = refused ?? (await handler(context, parsed.arguments, shape.usage));
  return noise ? { ...result, stderr: STOPPING_NOISE + result.stderr } : result;
}

/** These ask nothing of a container itself, and so do not complain of one that is stopping. */
const READS_FILES: ReadonlySet<string> = new Set(['config', 'listsnapshot', 'pending']);
