import { join } from 'node:path';
import { buildOf, EARLIER } from './earlier-builds.ts';
import { record } from './recorder.ts';
import { relay } from './relay.ts';

/**
 * `npm run test:upgrade [-- --seeds N --first N COMMIT...]`: an earlier build, today's program, the
 * earlier one and today's again on one node under load, ended or killed at any moment.
 * `npm run test:upgrade -- --record [COMMIT...]` makes the fixtures of `recorded.test.ts` anew.
 */

const LEG_MS = 26 * 60_000;
const home = process.cwd();
const words = process.argv.slice(2);

function numberAfter(name: string, otherwise: number): number {
  const at = words.indexOf(name);
  return at < 0 ? otherwise : Number(words.splice(at, 2)[1]);
}

async function main(): Promise<void> {
  const first = numberAfter('--first', 1);
  const seeds = numberAfter('--seeds', 2);
  const commits = words.filter((word) => !word.startsWith('--'));
  const isMeant = ({ commit }: { commit: string }): boolean =>
    commits.length === 0 || commits.includes(commit);
  for (const build of EARLIER.filter(isMeant)) {
    if (words.includes('--record')) {
      process.stdout.write(`${build.commit}: ${await record(home, build)}\n`);
      continue;
    }
    const earlier = buildOf(home, build.commit);
    const today = join(home, 'dist/lxc-autoscale.cjs');
    for (let seed = first; seed < first + seeds; seed += 1) {
      const runners = [earlier, today, earlier, today];
      const { legs, sets, lines, toldTwice, faults } = await relay({
        home,
        build,
        runners,
        legMs: LEG_MS,
        seed,
      });
      const ends = legs.map(({ how, endMs }) => `${how} ${(endMs / 60_000).toFixed(2)}`).join(', ');
      process.stdout.write(
        `${build.commit}, seed ${seed}: ${sets} values set, ${lines} told, ` +
          `${toldTwice} once more after a kill; ended by ${ends}\n`,
      );
      for (const fault of faults) process.stdout.write(`  NOT AS IT SHOULD BE: ${fault}\n`);
      if (faults.length > 0) process.exitCode = 1;
    }
  }
}

void main();
