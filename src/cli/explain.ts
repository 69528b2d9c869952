import type { ProcessContext } from '../app/context.ts';
import type { ExitCode } from '../app/exit-codes.ts';
import { EXIT } from '../app/exit-codes.ts';
import type { GroupReport } from '../core/groups/group-report.ts';
import { guestLabel } from '../core/guest-words.ts';
import { plainText } from '../core/plain-text.ts';
import type { Account, DecisionAccount, ResourceAccount } from '../core/report/account.ts';
import type { Fact, Guard } from '../core/report/fact.ts';
import type { Arguments } from './arguments.ts';
import { ask } from './ask.ts';
import { groupLines } from './group-lines.ts';
import { whyUnseen } from './machine-here.ts';
import { hanging, terminalWidth } from './view.ts';

/** `explain GUEST`: the last decision on a container, step by step. Changes nothing. */
export async function explain(given: Arguments, context: ProcessContext): Promise<ExitCode> {
  const { vmid, group } = given;
  if (given.at !== undefined) return (await import('./explain-at.ts')).explainAt(given, context);
  if (group !== undefined) return explainGroup(group, given, context);
  if (vmid === undefined) return EXIT.usage;
  const unseen = (): string | undefined => whyUnseen(given, context);
  const request = { command: 'explain', vmid } as const;
  const account = await ask<Account>(request, 'account', given, context, unseen);
  if (typeof account === 'number') return account;
  const lines = hanging(accountLines(account), terminalWidth(context));
  const text = given.json ? JSON.stringify(account, null, 2) : lines.join('\n');
  context.stdout.write(`${text}\n`);
  return EXIT.fine;
}

/** `explain GROUP`: where it stands, who is in it, what it waits for. */
async function explainGroup(
  group: string,
  given: Arguments,
  context: ProcessContext,
): Promise<ExitCode> {
  type Answer = GroupReport & { readonly format: number };
  const report = await ask<Answer>({ command: 'explain-group', group }, 'group', given, context);
  if (typeof report === 'number') return report;
  const lines = hanging(groupLines(report), terminalWidth(context));
  const text = given.json ? JSON.stringify(report, null, 2) : lines.join('\n');
  context.stdout.write(`${text}\n`);
  return EXIT.fine;
}

const TITLE = { cores: 'CPU', memory: 'Memory' } as const;

export function accountLines(account: Account): readonly string[] {
  const { name, cycle, time, policy, seen, guards, leftAlone, resources } = account;
  const dry = account.dryRun ? ', a dry run' : '';
  const when = account.from === 'daemon' ? `cycle ${cycle} at ${time}${dry}` : `as of ${time}`;
  const lines = [
    `${guestLabel(account)} (${name}), ${when}. A * marks an active guard.`,
    ...section('Policy', policy.map(factCells)),
    ...section('Seen', seen.map(factCells)),
    ...section(
      account.kind === 'qemu' ? 'The VM as a whole' : 'The container as a whole',
      guards.map(guardCells),
    ),
    ...(leftAlone === null ? [] : ['', `It is skipped: ${leftAlone}.`]),
    ...resources.flatMap(resourceLines),
    ...section('What came of it', account.outcome.map(factCells)),
  ];
  return lines.map((line) => plainText(line));
}

function resourceLines({ resource, weighed, guards, decision, plan }: ResourceAccount): string[] {
  return section(TITLE[resource], [
    ...weighed.map(factCells),
    ...guards.map(guardCells),
    ['', 'DECISION', decisionWords(decision)],
    ['', 'PLAN', plan.says],
  ]);
}

const decisionWords = ({ verdict, says, because }: DecisionAccount): string =>
  verdict === 'none' || because === 'observe-only' ? says : `${verdict}: ${says}`;

type Cells = readonly [mark: string, what: string, says: string];

const factCells = ({ what, says }: Fact): Cells => ['', what, says];
const guardCells = ({ what, says, holds }: Guard): Cells => [holds ? '*' : '', what, says];

function section(title: string, rows: readonly Cells[]): string[] {
  if (rows.length === 0) return [];
  const width = Math.max(...rows.map(([, what]) => what.length));
  return [
    '',
    title,
    ...rows.map(([mark, what, says]) => `${mark.padEnd(1)} ${what.padEnd(width)}  ${says}`),
  ];
}
