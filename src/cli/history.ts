import type { Writable } from 'node:stream';
import { readConfiguration, renderProblems } from '../app/configuration.ts';
import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { unknownNode } from '../app/named-node.ts';
import { printable } from '../config/printable.ts';
import { plainJson, plainText } from '../core/plain-text.ts';
import { sinceText } from '../core/report/since.ts';
import type { Milliseconds } from '../core/units.ts';
import { createTimestamp } from '../os/timestamp.ts';
import { type JournalFiles, linesOf, openJournalFiles } from '../output/journal-files.ts';
import { eventOf, isAbout, type LoggedEvent } from '../output/logged-event.ts';
import { clip, padTo } from '../output/text-width.ts';
import type { Arguments } from './arguments.ts';
import { hanging, terminalWidth, type View, viewOf } from './view.ts';

/** `history [GUEST]`: what the JSON log says was done, the oldest first. Only reads. */
export async function history(given: Arguments, context: ProcessContext): Promise<ExitCode> {
  const { stderr } = context;
  const journal = openJournal(given, context);
  if (typeof journal === 'number') return journal;
  const { open, problems, localTime } = journal;
  const from = given.since && sinceText(given.since, context.clock.wallMs(), localTime);
  const out = outputTo(context.stdout);
  const counts = { shown: 0, broken: 0 };
  const view = viewOf(given, context);
  const layout = layoutOf(view.isTerminal ? view : { ...view, width: undefined });
  for (const fd of open) await printEvents(fd, { given, from, out, counts, layout });
  if (counts.broken > 0) {
    const lines = counts.broken === 1 ? 'One line was' : `${counts.broken} lines were`;
    stderr.write(`${lines} left out: no JSON, or cut short.\n`);
  }
  if (counts.shown === 0) {
    const whose = given.vmid === undefined ? '' : ` of guest ${given.vmid}`;
    const since = from === undefined ? '' : ` since ${from}`;
    (given.json ? stderr : context.stdout).write(`Nothing was logged${whose}${since}.\n`);
  }
  return problems.length > 0 ? EXIT.failure : EXIT.fine;
}

export interface Journal extends JournalFiles {
  readonly localTime: (wallMs: Milliseconds) => string;
}

/** The files of the JSON log; an exit code if there is nothing to read, which has been said. */
export function openJournal(given: Arguments, context: ProcessContext): Journal | ExitCode {
  const { paths, stderr } = context;
  const loaded = readConfiguration(given, context);
  if (!loaded.ok) {
    stderr.write(renderProblems(loaded));
    return EXIT.configuration;
  }
  const { jsonLogFile, timezone } = loaded.config;
  const unknown = unknownNode(given.node, loaded.config, context);
  if (unknown !== undefined) {
    stderr.write(`${plainText(unknown)}\n`);
    return EXIT.failure;
  }
  const file = paths.at(jsonLogFile);
  const { open, problems } = openJournalFiles(file);
  for (const problem of problems) stderr.write(`Cannot be read: ${plainText(problem)}\n`);
  if (open.length > 0) return { open, problems, localTime: createTimestamp(timezone) };
  if (problems.length > 0) return EXIT.failure;
  const said = hanging([`Nothing has been logged yet in ${file}.`], terminalWidth(context));
  (given.json ? stderr : context.stdout).write(`${said.join('\n')}\n`);
  return EXIT.fine;
}

interface Printing {
  readonly given: Arguments;
  readonly from: string | undefined;
  readonly out: Output;
  readonly counts: { shown: number; broken: number };
  readonly layout: Layout;
}

async function printEvents(
  fd: number,
  { given, from, out, counts, layout }: Printing,
): Promise<void> {
  for (const line of linesOf(fd)) {
    if (out.gone()) continue;
    if (line === '') continue;
    const event = line === undefined ? undefined : eventOf(line);
    if (line === undefined || event === undefined) {
      counts.broken += 1;
      continue;
    }
    if (!isAbout(event, given)) continue;
    if (from !== undefined && event.time.slice(0, from.length) < from) continue;
    if (event.isConfirmation && !given.all && !given.json) continue;
    if (counts.shown === 0 && !given.json) await out.put(layout.head);
    counts.shown += 1;
    await out.put(given.json ? plainJson(line) : layout.row(event));
  }
}

interface Layout {
  readonly head: string;
  row(event: LoggedEvent): string;
}

const HEAD = ['TIME', 'CONTAINER', 'ACTION', 'CHANGE', 'STATUS', 'REASON'];
/** Lines are printed as they are read, so the columns cannot wait for the widest cell. */
const WIDTHS = [19, 24, 22, 16, 9];
const NARROW_HEAD = ['TIME', 'CONTAINER', 'CHANGE', 'REASON'];
const NARROW_WIDTHS = [11, 16, 16];
/** What is narrower has no room for all columns and a reason. */
const LEAST_WIDE = 116;
const LONGEST_REASON = 400;

function layoutOf({ width, paint }: Pick<View, 'width' | 'paint'>): Layout {
  const isNarrow = width !== undefined && width < LEAST_WIDE;
  const widths = isNarrow ? NARROW_WIDTHS : WIDTHS;
  const line = (cells: readonly string[]): string =>
    clip(cells.map((cell, column) => padTo(cell, widths[column] ?? 0)).join('  '), width).trimEnd();
  return {
    head: paint('bold', line(isNarrow ? NARROW_HEAD : HEAD)),
    row(event) {
      const text = line(isNarrow ? narrowCells(event) : cellsOf(event));
      return WENT_WRONG.has(event.status) ? paint('red', text) : text;
    },
  };
}

const WENT_WRONG: ReadonlySet<string> = new Set(['failed', 'rolled-back']);
const WENT_WELL: ReadonlySet<string> = new Set(['confirmed', 'pending', '']);

function cellsOf({ time, container, name, action, ...event }: LoggedEvent): readonly string[] {
  const { status, reason } = event;
  return [
    plainText(time, 40),
    printable(`${container} ${name}`.trim(), 21),
    plainText(action, 60),
    plainText(stepOf({ action, ...event }), 60),
    plainText(status, 40),
    plainText(reason, LONGEST_REASON),
  ];
}

type Stepped = Pick<LoggedEvent, 'action' | 'before' | 'after' | 'change'>;

function stepOf({ action, before, after, change }: Stepped): string {
  const unit = action.includes('Memory') ? ' MB' : '';
  return before === '' ? after || change : `${before} -> ${after}${unit}`;
}

/** `11-22 08:00  101 shop  mem 1024>1536  failed: it needs more`. */
function narrowCells(event: LoggedEvent): readonly string[] {
  const { time, container, name, action, before, after, status, reason } = event;
  const short = action.includes('Memory') ? 'mem' : action.includes('Cores') ? 'cpu' : action;
  const step = before === '' ? stepOf(event) : `${before}>${after}`;
  const how = WENT_WELL.has(status) ? '' : `${status}: `;
  return [
    plainText(time.slice(5, 16), 11),
    printable(`${container} ${name}`.trim(), 16),
    plainText(`${short} ${step}`, 40),
    plainText(`${how}${reason}`, LONGEST_REASON),
  ];
}

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
