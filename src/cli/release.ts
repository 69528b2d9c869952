import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { plainText } from '../core/plain-text.ts';
import { HIGH_DIRECTORY, recordsOfNodes } from '../node/local/kernel/high-file.ts';
import { createMemoryGuards } from '../node/local/kernel/memory-guards.ts';
import { createMemoryHigh } from '../node/local/kernel/memory-high.ts';

/**
 * `release`: what a process that was killed in mid-change has held down is put back, and so is what
 * `memory_guard` has set. For the uninstaller, after which nobody would do it: needs neither
 * configuration nor `/etc/pve`, and so reaches no other node; what is left there it names.
 */
export async function release(context: ProcessContext): Promise<ExitCode> {
  const { paths, clock, stdout, stderr } = context;
  let code: ExitCode = EXIT.fine;
  const guards = createMemoryGuards(paths);
  const left = await createMemoryHigh(paths, clock).releaseLeft();
  const ended = guards.standing().map(async (vmid) => {
    const outcome = await guards.end(vmid);
    if (!outcome.ok) return { vmid, problem: outcome.message };
    return outcome.isPutBack ? { vmid } : undefined;
  });
  const guarded = (await Promise.all(ended)).filter((one) => one !== undefined);
  for (const { vmid, problem } of [...left, ...guarded]) {
    const what = `Container ${vmid}: memory.high`;
    if (problem === undefined) stdout.write(`${what} was too low, and is restored.\n`);
    else {
      const remedy = 'It stays low until the container is restarted';
      stderr.write(`${what} could not be put back: ${plainText(problem)}. ${remedy}.\n`);
      code = EXIT.failure;
    }
  }
  for (const [node, vmids] of recordsOfNodes(paths.at(HIGH_DIRECTORY))) {
    const which = `container${vmids.length === 1 ? '' : 's'} ${vmids.join(', ')}`;
    stderr.write(
      `Node ${plainText(node, 64)}: memory.high of ${which} may be low, and this command reaches ` +
        'no other node. A daemon that scales the node puts it back; so does a restart of the ' +
        'container.\n',
    );
    code = EXIT.failure;
  }
  return code;
}
