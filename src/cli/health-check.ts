import { configurationFile, readConfiguration } from '../app/configuration.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { healthLines } from '../app/health-lines.ts';
import { changeRows, quorumRow } from '../app/health-rows.ts';
import { whyNoConfiguration } from '../app/unfit.ts';
import { openWorld, placesIn, type Surroundings } from '../app/world.ts';
import { pauseAfter } from '../core/pause.ts';
import {
  HEALTH_FORMAT,
  type HealthReport,
  type HealthRow,
  healthReport,
  row,
} from '../core/report/health.ts';
import { whyHanging } from '../host/answering-files.ts';
import { askControlSocket } from '../host/control-client.ts';
import { CONTROL_SOCKET } from '../host/control-path.ts';
import type { Arguments } from './arguments.ts';
import { nowhere } from './ask.ts';

/**
 * `health-check`: whether the daemon does its work, in named checks; exit code 0 if all are well.
 * The daemon itself is asked, since it may see other files than who asks; where none answers, what
 * it would need is looked at from here.
 */
export async function healthCheck(given: Arguments, around: Surroundings): Promise<ExitCode> {
  const report = healthReport(await rowsOf(given, around));
  const text = given.json ? JSON.stringify(report, null, 2) : healthLines(report).join('\n');
  around.stdout.write(`${text}\n`);
  return report.healthy ? EXIT.fine : EXIT.failure;
}

async function rowsOf(given: Arguments, around: Surroundings): Promise<readonly HealthRow[]> {
  const loaded = readConfiguration(given, around);
  const file = configurationFile(given.configFile, around.paths);
  const count = loaded.ok ? 0 : loaded.problems.length;
  const problems =
    whyNoConfiguration(given, around) ??
    `${file} has ${count} problem${count === 1 ? '' : 's'}; see check-config`;
  const configuration = row('configuration', loaded.ok ? undefined : problems, `${file} is valid`);
  const asked = await askDaemon(around);
  if (asked.report !== undefined) {
    return [configuration, row('daemon', undefined, 'it runs and answers'), ...asked.report.checks];
  }
  const daemon = row('daemon', asked.why, '');
  if (!loaded.ok) return [configuration, daemon];
  const hanging = await whyHanging(placesIn(loaded.config, around.paths));
  if (hanging !== undefined) return [configuration, daemon, row('cycle', hanging, '')];
  const open = openWorld(loaded.config, { ...around, stdout: nowhere() });
  try {
    const { guests, clock } = open.world;
    const quorum = quorumRow(pauseAfter(undefined, guests.quorum(), clock.monotonicMs()));
    return [configuration, daemon, quorum, ...changeRows(open.world, around.env)];
  } finally {
    await open.close();
  }
}

type Asked =
  | { readonly report: HealthReport }
  | { readonly report: undefined; readonly why: string };

async function askDaemon({ paths }: Surroundings): Promise<Asked> {
  const path = paths.at(CONTROL_SOCKET);
  const answer = await askControlSocket(path, { command: 'health' });
  if (answer.kind === 'forbidden') {
    return { report: undefined, why: `only root may ask it (${path}: ${answer.why})` };
  }
  if (answer.kind !== 'answered') return { report: undefined, why: `none answers: ${answer.why}` };
  const report = answer.content['health'] as HealthReport | undefined;
  if (report?.format === HEALTH_FORMAT) return { report };
  return { report: undefined, why: 'one of another version runs; restart it' };
}
