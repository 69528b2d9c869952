import { createWriteStream } from 'node:fs';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { readConfiguration, renderProblems } from '../app/configuration.ts';
import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { plainText } from '../core/plain-text.ts';
import { sinceMs } from '../core/report/since.ts';
import { milliseconds, type Vmid } from '../core/units.ts';
import { type StepRow, TRACE_HEADER, TraceSteps, traceRow } from '../core/usage-steps.ts';
import { describeError, errorCode } from '../os/os-error.ts';
import { createTimestamp } from '../os/timestamp.ts';
import { USAGE_DIRECTORY } from '../store/usage-files.ts';
import type { Arguments } from './arguments.ts';
import { leftOutWords, readOwnUsage } from './own-usage.ts';

/** `export [GUEST]`: the history of usage as a trace, as `demo --trace` reads it. Only reads. */
export async function exportUsage(given: Arguments, context: ProcessContext): Promise<ExitCode> {
  const { paths, clock, stderr } = context;
  const loaded = readConfiguration(given, context);
  if (!loaded.ok) {
    stderr.write(renderProblems(loaded));
    return EXIT.configuration;
  }
  const { timezone, usageHistory } = loaded.config;
  const localTime = createTimestamp(timezone);
  const fromMs = given.since ? sinceMs(given.since, clock.wallMs(), localTime) : milliseconds(0);
  const seen = { rows: 0, problems: 0 };
  const complain = (problem: string): void => {
    seen.problems += 1;
    stderr.write(`The usage history cannot be read as a whole: ${plainText(problem)}.\n`);
  };
  const leftOut = (vmids: readonly Vmid[]): void => {
    if (given.vmid !== undefined && !vmids.includes(given.vmid)) return;
    stderr.write(`${leftOutWords(given.vmid === undefined ? vmids : [given.vmid])}\n`);
  };
  async function* csv(): AsyncGenerator<string> {
    const steps = new TraceSteps();
    const put = function* (rows: readonly StepRow[]): Generator<string> {
      if (rows.length === 0) return;
      if (seen.rows === 0) yield `${TRACE_HEADER}\n`;
      seen.rows += rows.length;
      yield `${rows.map(traceRow).join('\n')}\n`;
    };
    for await (const record of readOwnUsage(paths, fromMs, complain, leftOut)) {
      if (given.vmid !== undefined && record.vmid !== given.vmid) continue;
      yield* put(steps.take(record));
    }
    yield* put(steps.finish());
  }
  const failure = await written(csv(), given.outFile, context.stdout);
  if (failure !== undefined) {
    stderr.write(`${failure}\n`);
    return EXIT.failure;
  }
  if (seen.rows === 0) {
    const whose = given.vmid === undefined ? '' : ` of guest ${given.vmid}`;
    const since = given.since === undefined ? '' : ' in that time';
    const why = usageHistory ? 'The daemon writes it every quarter of an hour' : SWITCHED_OFF;
    const where = paths.at(USAGE_DIRECTORY);
    stderr.write(`There is no usage history${whose}${since} in ${where}. ${why}.\n`);
  }
  return seen.rows === 0 || seen.problems > 0 ? EXIT.failure : EXIT.fine;
}

const SWITCHED_OFF = 'usage_history is False, so none is kept';

/** Returns what went wrong; nothing did where nobody reads any more, as after `| head`. */
async function written(
  csv: AsyncIterable<string>,
  file: string | undefined,
  stdout: Writable,
): Promise<string | undefined> {
  try {
    if (file !== undefined) await pipeline(Readable.from(csv), createWriteStream(file));
    else await pipeline(Readable.from(csv), stdout, { end: false });
    return undefined;
  } catch (error) {
    const code = errorCode(error);
    if (file === undefined && (code === 'EPIPE' || code === 'ERR_STREAM_PREMATURE_CLOSE')) {
      return undefined;
    }
    const to = file === undefined ? 'standard output' : plainText(file);
    return `The export cannot be written to ${to}: ${describeError(error)}`;
  }
}
