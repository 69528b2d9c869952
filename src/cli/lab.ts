import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { version } from '../../package.json';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { describeError } from '../os/os-error.ts';
import type { Arguments } from './arguments.ts';
import type { CommandContext } from './command.ts';
import type { LabCommandName } from './lab-commands.ts';

/** Commands that are in a second file, beside the one that runs: the daemon never loads it. */

const LAB_FILE = 'lxc-autoscale-lab.cjs';

export async function runLabCommand(
  name: LabCommandName,
  given: Arguments,
  context: CommandContext,
): Promise<ExitCode> {
  const lab = await loadLab(name);
  if (typeof lab !== 'string') return lab.LAB_COMMANDS[name](given, context, context.signals);
  context.stderr.write(`lxc-autoscale: ${lab}\n`);
  return EXIT.failure;
}

type Lab = Pick<typeof import('./lab-commands.ts'), 'LAB_COMMANDS' | 'version'>;

/** The second file; a sentence on what is wrong with it. */
async function loadLab(name: LabCommandName): Promise<Lab | string> {
  const file = join(__dirname, LAB_FILE);
  const remedy = 'copy it there from the same release, or install that release again';
  try {
    const lab: Lab = await import('./lab-commands.ts');
    if (lab.version === version) return lab;
    return `${file} is of version ${lab.version}, and this program of ${version}; ${remedy}`;
  } catch (error) {
    if (!existsSync(file)) return `${name} needs the file ${file}, which is missing; ${remedy}`;
    return `${file} cannot be loaded: ${describeError(error)}; ${remedy}`;
  }
}
