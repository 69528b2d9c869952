import type { Config } from '../config/model.ts';
import { type Observing, observing, observingWords } from '../core/report/would.ts';
import type { Log } from '../ports.ts';
import type { NodeLoop } from './node-loop.ts';
import type { EndedCycle, Part } from './part.ts';

/**
 * What the log says besides single events: what observe mode leaves out, as soon as that changes,
 * and once an hour what the quiet cycles were, which are not logged themselves.
 */

const HOUR_MS = 3_600_000;
const ABOUT = { event: 'summary' } as const;

export function hourlySummary(node: Pick<NodeLoop, 'settings' | 'world' | 'open'>): Required<Part> {
  const { clock } = node.world;
  let sums = { cycles: 0, done: 0, failed: 0 };
  let beganMs = clock.monotonicMs();
  let logged: string | undefined;
  let isWanted = true;

  function logHour(log: Log, seen: Observing | undefined): void {
    if (clock.monotonicMs() - beganMs < HOUR_MS) return;
    const { cycles, done, failed } = sums;
    const changes =
      done + failed === 0 ? 'nothing was changed' : `${done} changes, ${failed} failed`;
    const left = seen === undefined ? '' : ` ${observingWords(seen)}`;
    if (isWanted) log.info(`The last hour: ${cycles} cycles, ${changes}.${left}`, ABOUT);
    sums = { cycles: 0, done: 0, failed: 0 };
    beganMs = clock.monotonicMs();
  }

  return {
    async apply({ logQuietCycles }: Config) {
      isWanted = !logQuietCycles;
    },
    cycleBegins() {},
    cycleEnded({ node: name, result, view }: EndedCycle) {
      if (name !== node.open.name || !result.ok) return;
      sums.done += result.done;
      sums.failed += result.failed;
      if (view === undefined) return;
      sums.cycles += 1;
      const { manage, dryRun } = node.settings;
      const managements = view.observed.containers.flatMap(({ config }) =>
        config.ok ? [manage(config.value)] : [],
      );
      const seen = observing({ planned: view.planned, dryRun, managements });
      const { log } = node.world;
      const kind = seen && `${seen.scope} ${seen.observed} ${seen.containers}`;
      if (seen !== undefined && kind !== logged) log.info(observingWords(seen), ABOUT);
      logged = kind;
      logHour(log, seen);
    },
    async stop() {},
  };
}
