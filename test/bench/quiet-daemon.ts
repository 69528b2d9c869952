import { startFastDaemon } from '../long/fast-daemon.ts';
import { measureProcess, median } from '../long/measures.ts';
import { onQuietNode } from './quiet-node.ts';

/** What the real program holds and uses on a node where there is nothing to change. */
export interface QuietCost {
  readonly residentMb: number;
  /** The median, and the most, in the second half of the cycles. */
  readonly privateMb: number;
  readonly mostPrivateMb: number;
  readonly cpuMsPerCycle: number;
  readonly processes: number;
}

export interface QuietRun {
  readonly containers: number;
  readonly cycles: number;
  /** Between two samples; more seldom than a cycle stands for none between the cycles. */
  readonly sampleS: number;
  readonly pollS?: number;
  readonly execPath?: string;
  /** Of another build; else that of this one. */
  readonly bundle?: string;
  /** Further lines of `DEFAULT`, indented. */
  readonly more?: string;
}

const POLL_S = 60;
const QUIET = 'DEFAULT:\n  log_quiet_cycles: True\n';

/**
 * The bundled daemon as the unit file starts it, on time that jumps from one timer to the next.
 * What the fast clock takes itself counts too.
 */
export function quietDaemon(run: QuietRun): Promise<QuietCost> {
  const { containers, cycles, sampleS, pollS = POLL_S, execPath, bundle, more = '' } = run;
  const yaml = `${QUIET}  poll_interval: ${pollS}\n  sample_interval: ${sampleS}\n${more}`;
  return onQuietNode(containers, async (_root, node) => {
    const half: Array<ReturnType<typeof measureProcess> & { readonly cycles: number }> = [];
    const daemon = startFastDaemon({
      node,
      yaml,
      home: process.cwd(),
      startMs: node.machine.wallS * 1000,
      ...(execPath !== undefined && { execPath }),
      ...(bundle !== undefined && { bundle }),
      onTime: () => {
        const done = daemon.cycles;
        if (done >= cycles / 2) half.push({ ...measureProcess(daemon.pid), cycles: done });
        if (done >= cycles) daemon.child.kill('SIGTERM');
      },
    });
    const { code, stderr } = await daemon.ended;
    const [first, last] = [half[0], half.at(-1)];
    if (code !== 0 || first === undefined || last === undefined) throw new Error(stderr);
    const held = half.map(({ privateMb }) => privateMb);
    return {
      residentMb: median(half.map(({ residentMb }) => residentMb)),
      privateMb: median(held),
      mostPrivateMb: Math.max(...held),
      cpuMsPerCycle: (last.cpuMs - first.cpuMs) / (last.cycles - first.cycles),
      processes: node.calls.length,
    };
  });
}
