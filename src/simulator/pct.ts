import { type Answer, type Arguments, answer, failure, parseArguments } from './command-line.ts';
import type { CommandContext } from './pct-context.ts';
import { clone, destroy, reboot, start, stop, unlock } from './pct-lifecycle.ts';
import { config, cpusets, df, exec, list, pending, status } from './pct-reads.ts';
import { setConfig } from './pct-set.ts';
import { PCT_USAGE, pctShape } from './pct-shapes.ts';
import { delsnapshot, listsnapshot, snapshot } from './pct-snapshots.ts';

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
  pending,
  reboot,
  set: (context, args, usage) => setConfig(context, args.vmid, args, usage),
  shutdown: stop,
  snapshot,
  start,
  status,
  stop,
  unlock,
};

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
  return handler(context, parsed.arguments, shape.usage);
}
