import { configurationFile, readConfiguration } from '../app/configuration.ts';
import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { healthLines } from '../app/health-lines.ts';
import { changeRows, quorumRow } from '../app/health-rows.ts';
import { placesIn } from '../app/outputs.ts';
import { isAway, whyNoConfiguration } from '../app/unfit.ts';
import { openWorld } from '../app/world.ts';
import { pauseAfter } from '../core/pause.ts';
import {
  HEALTH_FORMAT,
  type HealthReport,
  type HealthRow,
  healthReport,
  row,
} from '../core/report/health.ts';
import { whyHanging } from '../os/answering-files.ts';
import { askControlSocket } from '../os/control-client.ts';
import { CONTROL_SOCKET } from '../os/control-path.ts';
import type { Arguments } from './arguments.ts';
import { nowhere } from './ask.ts';

/**
 * `health-check`: whether the daemon does its work, in named checks; exit code 0 if all are well.
 * The daemon itself is asked, since it may see other files than who asks; where none answers, what
 * it would need is looked at from here.
 */
export async function healthCheck(given: Arguments, context: ProcessContext): Promise<ExitCode> {
  const report = healthReport(await rowsOf(given, context));
  const text = given.json ? JSON.stringify(report, null, 2) : healthLines(report).join('\n');
  context.stdout.write(`${text}\n`);
  return report.healthy ? EXIT.fine : EXIT.failure;
}

async function rowsOf(given: Arguments, context: ProcessContext): Promise<readonly HealthRow[]> {
  const loaded = readConfiguration(given, context);
  const file = configurationFile(given.configFile, context.paths);
  const count = loaded.ok ? 0 : loaded.problems.length;
  const problems =
    whyNoConfiguration(given, context) ??
    `${file} has ${count} problem${count === 1 ? '' : 's'}; see check-config`;
  const configuration = row('configuration', loaded.ok ? undefined : problems, `${file} is valid`);
  const asked = await askDaemon(context);
  if (asked.report !== undefined) {
    return [configuration, row('daemon', undefined, 'it runs and answers'), ...asked.report.checks];
  }
  const daemon = row('daemon', asked.why, '');
  if (!loaded.ok) return [configuration, daemon];
  const hanging = await whyHanging(placesIn(loaded.config, context.paths));
  if (hanging !== undefined) return [configuration, daemon, row('cycle', hanging, '')];
  if (isAway(loaded.config, context)) return [configuration, daemon];
  const open = openWorld(loaded.config, { ...context, stdout: nowhere() });
  try {
    const { guests, clock } = open.world;
    const quorum = quorumRow(pauseAfter(undefined, guests.quorum(), clock.monotonicMs()));
    return [configuration, daemon, quorum, ...changeRows(open.world, context.env)];
  } finally {
    await open.close();
  }
}

type Asked =
  | { readonly report: HealthReport }
  | { readonly report: undefined; readonly why: string };

async function askDaemon({ paths }: ProcessContext): Promise<Asked> {
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
