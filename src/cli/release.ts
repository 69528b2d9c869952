import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { plainText } from '../core/plain-text.ts';
import { createMemoryHigh } from '../node/local/kernel/memory-high.ts';

/**
 * `release`: what a process that was killed in mid-change has held down is put back. For the
 * uninstaller, after which nobody would do it: needs neither configuration nor `/etc/pve`.
 */
export async function release(context: ProcessContext): Promise<ExitCode> {
  const { paths, clock, stdout, stderr } = context;
  let code: ExitCode = EXIT.fine;
  for (const { vmid, problem } of await createMemoryHigh(paths, clock).releaseLeft()) {
    const what = `Container ${vmid}: memory.high`;
    if (problem === undefined) stdout.write(`${what} was too low, and is restored.\n`);
    else {
      const remedy = 'It stays low until the container is restarted';
      stderr.write(`${what} could not be put back: ${plainText(problem)}. ${remedy}.\n`);
      code = EXIT.failure;
    }
  }
  return code;
}
