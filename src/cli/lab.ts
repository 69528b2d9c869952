import type { ExitCode } from '../app/exit-codes.ts';
import type { Arguments } from './arguments.ts';
import type { CommandContext } from './command.ts';
import type { LabCommandName } from './lab-commands.ts';

/** Commands that are in a file of their own, beside the one that runs; no daemon loads it. */
export async function runLabCommand(
  name: LabCommandName,
  given: Arguments,
  context: CommandContext,
): Promise<ExitCode> {
  const { LAB_COMMANDS } = await import('./lab-commands.ts');
  return LAB_COMMANDS[name](given, context, context.signals);
}
