import type { Writable } from 'node:stream';
import { readConfiguration, renderProblems } from '../app/configuration.ts';
import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { printable } from '../config/printable.ts';
import { journalLabel } from '../core/journal-words.ts';
import { plainJson, plainText } from '../core/plain-text.ts';
import { sinceText } from '../core/report/since.ts';
import { asObject, parseJsonObject } from '../os/json-object.ts';
import { createTimestamp } from '../os/timestamp.ts';
import type { Arguments } from './arguments.ts';
import { linesOf, openJournalFiles } from './journal-files.ts';

/** `history [GUEST]`: what the JSON log says was done, the oldest first. Only reads. */
export async function history(given: Arguments, context: ProcessContext): Promise<ExitCode> {
  const { paths, clock, stderr } = context;
  const loaded = readConfiguration(given, context);
  if (!loaded.ok) {
    stderr.write(renderProblems(loaded));
    return EXIT.configuration;
  }
  const { jsonLogFile, timezone } = loaded.config;
  const file = paths.at(jsonLogFile);
  const { open, problems } = openJournalFiles(file);
  for (const problem of problems) stderr.write(`Cannot be read: ${plainText(problem)}\n`);
  if (open.length === 0) {
    if (problems.length > 0) return EXIT.failure;
    (given.json ? stderr : context.stdout).write(`Nothing has been logged yet in ${file}.\n`);
    return EXIT.fine;
  }
  const from = given.since && sinceText(given.since, clock.wallMs(), createTimestamp(timezone));
  const out = outputTo(context.stdout);
  const counts = { shown: 0, broken: 0 };
  for (const fd of open) await tell(fd, { given, from, out, counts });
  if (counts.broken > 0) {
    const lines = counts.broken === 1 ? 'One line was' : `${counts.broken} lines were`;
    stderr.write(`${lines} left out: no JSON, or cut short.\n`);
  }
  if (counts.shown === 0) {
    const whose = given.vmid === undefined ? '' : ` of container ${given.vmid}`;
    const since = from === undefined ? '' : ` since ${from}`;
    (given.json ? stderr : context.stdout).write(`Nothing was logged${whose}${since}.\n`);
  }
  return problems.length > 0 ? EXIT.failure : EXIT.fine;
}

interface Telling {
  readonly given: Arguments;
  readonly from: string | undefined;
  readonly out: Output;
  readonly counts: { shown: number; broken: number };
}

async function tell(fd: number, { given, from, out, counts }: Telling): Promise<void> {
  for (const line of linesOf(fd)) {
    if (out.gone()) continue;
    if (line === '') continue;
    const event = line === undefined ? undefined : eventOf(line);
    if (line === undefined || event === undefined) {
      counts.broken += 1;
      continue;
    }
    if (given.vmid !== undefined && event.container !== `${given.vmid}`) continue;
    if (from !== undefined && event.time.slice(0, from.length) < from) continue;
    if (counts.shown === 0 && !given.json) await out.put(rowOf(HEAD));
    counts.shown += 1;
    await out.put(given.json ? plainJson(line) : rowOf(cellsOf(event)));
  }
}

/** A line of the JSON log, as far as it is shown. */
interface LoggedEvent {
  readonly time: string;
  readonly container: string;
  readonly name: string;
  readonly action: string;
  readonly before: string;
  readonly after: string;
  /** By how much; of a group, how many members more or fewer. */
  readonly change: string;
  readonly status: string;
  readonly reason: string;
}

function eventOf(line: string): LoggedEvent | undefined {
  const event = asObject(parseJsonObject(line));
  if (event === undefined) return undefined;
  const text = (key: string): string => {
    const value = event[key];
    if (typeof value === 'string') return value;
    return typeof value === 'number' ? String(Math.round(value * 100) / 100) : '';
  };
  const time = text('timestamp');
  const container = text('container_id');
  if (time === '' || container === '') return undefined;
  return {
    ...{ time, container, name: text('name'), action: journalLabel(event) },
    ...{ before: text('before'), after: text('after'), change: text('by') || text('change') },
    status: text('status'),
    reason: [text('reason'), text('note')].filter((words) => words !== '').join('; '),
  };
}

const HEAD = ['TIME', 'CONTAINER', 'ACTION', 'CHANGE', 'STATUS', 'REASON'];
/** Lines are printed as they are read, so the columns cannot wait for the widest cell. */
const WIDTHS = [19, 24, 22, 16, 9, 0];
const LONGEST_REASON = 400;

function cellsOf({ time, container, name, action, ...event }: LoggedEvent): readonly string[] {
  const { before, after, change, status, reason } = event;
  const unit = action.includes('Memory') ? ' MB' : '';
  const step = before === '' ? after || change : `${before} -> ${after}${unit}`;
  return [
    ...[plainText(time, 40), printable(`${container} ${name}`.trim(), 21)],
    ...[plainText(action, 60), plainText(step, 60), plainText(status, 40)],
    plainText(reason, LONGEST_REASON),
  ];
}

const rowOf = (cells: readonly string[]): string =>
  cells
    .map((cell, column) => cell.padEnd(WIDTHS[column] ?? 0))
    .join('  ')
    .trimEnd();

interface Output {
  /** Resolves when there is room for more, so that a slow reader fills no memory. */
  put(line: string): Promise<void>;
  /** Whether nobody reads any more, as after `| head`. */
  gone(): boolean;
}

function outputTo(stream: Writable): Output {
  let gone = false;
  let wake = (): void => {};
  const onGone = (): void => {
    gone = true;
    wake();
  };
  stream.on('error', onGone).on('close', onGone);
  stream.on('drain', () => wake());
  return {
    gone: () => gone,
    async put(line) {
      if (gone || stream.write(`${line}\n`)) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    },
  };
}
