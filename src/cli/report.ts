import { readConfiguration, renderProblems } from '../app/configuration.ts';
import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { homeName } from '../app/named-node.ts';
import { weekFile } from '../app/weekly.ts';
import { type NodeNow, reportOfNow, weeklyReport } from '../core/notify/weekly-report.ts';
import { plainText } from '../core/plain-text.ts';
import type { StatusReport } from '../core/report/status.ts';
import { createTimestamp } from '../os/timestamp.ts';
import type { Arguments } from './arguments.ts';
import { ask } from './ask.ts';
import { hanging, terminalWidth } from './view.ts';

/** `report`: the weekly report as it would be now. Sends nothing, and ends no week. */
export async function report(given: Arguments, context: ProcessContext): Promise<ExitCode> {
  const { stdout, stderr, clock, paths } = context;
  const loaded = readConfiguration(given, context);
  if (!loaded.ok) {
    stderr.write(renderProblems(loaded));
    return EXIT.configuration;
  }
  const nodes = await nodesNow(homeName(loaded.config, context), given, context);
  if (typeof nodes === 'number') return nodes;
  const { notify, timezone } = loaded.config;
  const complain = (message: string): void => void stderr.write(`${plainText(message)}.\n`);
  const week = notify.weekly === undefined ? undefined : weekFile(paths).read(complain);
  const lines =
    week === undefined
      ? reportOfNow(nodes)
      : weeklyReport(week, nodes, clock.wallMs(), createTimestamp(timezone));
  const shown = hanging(
    lines.map((line) => plainText(line)),
    terminalWidth(context),
  );
  stdout.write(`${shown.join('\n')}\n`);
  if (notify.weekly === undefined) stderr.write(`${NOT_COUNTED}\n`);
  else if (week === undefined) stderr.write(`${NOT_YET}\n`);
  return EXIT.fine;
}

const NOT_COUNTED =
  'Changes, failures, OOM kills and limits met are counted from when the configuration says ' +
  '`report: weekly`.';
const NOT_YET = 'No week is counted yet: the daemon begins it with its next start or reload.';

async function nodesNow(
  home: string,
  given: Arguments,
  context: ProcessContext,
): Promise<readonly NodeNow[] | ExitCode> {
  const first = await ask<StatusReport>({ command: 'status' }, 'report', given, context);
  if (typeof first === 'number') return first;
  const { node: label = '', others = [] } = first;
  const nodes: NodeNow[] = [{ node: label || home, label, report: first }];
  for (const other of others) {
    const asked = { ...given, node: other.node };
    const seen = other.cycle !== null;
    const now = seen && (await ask<StatusReport>({ command: 'status' }, 'report', asked, context));
    if (typeof now === 'number') return now;
    nodes.push({ node: other.node, label: other.node, report: now || undefined });
  }
  return nodes;
}
