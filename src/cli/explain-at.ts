import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { guestLabel } from '../core/guest-words.ts';
import { plainJson, plainText } from '../core/plain-text.ts';
import { sinceText } from '../core/report/since.ts';
import { linesOf } from '../output/journal-files.ts';
import { eventOf, isAbout, type LoggedEvent } from '../output/logged-event.ts';
import type { Arguments } from './arguments.ts';
import { openJournal } from './history.ts';
import { hanging, terminalWidth } from './view.ts';

/**
 * `explain GUEST --at TIME`: what the JSON log says of a container or a group at a time: the last
 * change of each kind until then, with its reason, and the next line after it. Only reads.
 */
export function explainAt(given: Arguments, context: ProcessContext): ExitCode {
  const { vmid, group, at } = given;
  const journal = openJournal(given, context);
  if (typeof journal === 'number') return journal;
  if ((vmid === undefined && group === undefined) || at === undefined) return EXIT.usage;
  const when = sinceText(at, context.clock.wallMs(), journal.localTime);
  const until = new Map<string, Told>();
  let next: Told | undefined;
  for (const fd of journal.open) {
    for (const line of linesOf(fd)) {
      const event = line === undefined ? undefined : eventOf(line);
      if (line === undefined || event === undefined || event.isConfirmation) continue;
      if (!isAbout(event, given)) continue;
      const isBefore = event.time.slice(0, when.length) <= when;
      const kind = `${event.node} ${event.action.replace(/^.* /, '')}`;
      if (isBefore) until.set(kind, { event, line });
      else next ??= { event, line };
    }
  }
  const events = [...until.values()].sort((one, two) => (one.event.time < two.event.time ? -1 : 1));
  if (given.json) {
    for (const { line } of events) context.stdout.write(`${plainJson(line)}\n`);
    return EXIT.fine;
  }
  const { kind } = events.at(-1)?.event ?? next?.event ?? {};
  const who = vmid === undefined ? `Group ${group}` : guestLabel({ vmid, kind });
  // Nodes of several clusters may have the same ids.
  const isOnSeveral = new Set(events.map(({ event }) => event.node)).size > 1;
  const lines = [
    `${who} at ${when}, as the JSON log has it.`,
    ...(events.length === 0 ? ['', 'No change of it had been logged by then.'] : []),
    ...events.flatMap(({ event }) => ['', ...eventLines(event, isOnSeveral)]),
    ...(next === undefined ? [] : ['', `Next: ${headOf(next.event)}`]),
  ];
  const shown = hanging(
    lines.map((line) => plainText(line)),
    terminalWidth(context),
  );
  context.stdout.write(`${shown.join('\n')}\n`);
  return EXIT.fine;
}

interface Told {
  readonly event: LoggedEvent;
  readonly line: string;
}

const headOf = ({ time, action, before, after, change, status }: LoggedEvent): string => {
  const step = before === '' ? after || change : `${before} -> ${after}`;
  return `${time}  ${action} ${step}${status === '' ? '' : `, ${status}`}`;
};

const eventLines = (event: LoggedEvent, isOnSeveral: boolean): readonly string[] => [
  `${isOnSeveral ? `On ${event.node}: ` : ''}${headOf(event)}`,
  ...(event.reason === '' ? [] : [`  since ${event.reason}`]),
];
