import { existsSync } from 'node:fs';
import { Writable } from 'node:stream';
import {
  configurationFile,
  countingFile,
  readConfiguration,
  renderProblems,
} from '../app/configuration.ts';
import type { ProcessContext } from '../app/context.ts';
import { type AboutCycle, answerTo } from '../app/control-answer.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { forGuestsOf, onFirstSight, settingsOf } from '../app/loop-settings.ts';
import { openNamed } from '../app/named-node.ts';
import { stateKeeper } from '../app/state-keeper.ts';
import { whyNotNow, whyUnfit } from '../app/unfit.ts';
import { SILENT, watching } from '../app/watching.ts';
import { withoutHands } from '../app/without-hands.ts';
import { onNode } from '../config/on-node.ts';
import { asSentence, plainText } from '../core/plain-text.ts';
import { REPORT_FORMAT } from '../core/report/report-input.ts';
import { type CycleView, runCycle } from '../loop/cycle.ts';
import { askControlSocket } from '../os/control-client.ts';
import { CONTROL_SOCKET } from '../os/control-path.ts';
import type { Log } from '../ports.ts';
import type { Arguments } from './arguments.ts';

/** `status` and `explain` ask the daemon; where none answers they look and decide themselves. */

export type Asked =
  | { readonly ok: true; readonly content: Readonly<Record<string, unknown>> }
  /** What is wrong has been said. */
  | { readonly ok: false; readonly code: ExitCode };

/**
 * @param field what the answer has to hold: `report` or `account`
 * @param unseen a sentence that may say more than an answer that there is nothing
 */
export async function ask<Content extends { readonly format: number }>(
  request: AboutCycle,
  field: string,
  given: Arguments,
  context: ProcessContext,
  unseen: () => string | undefined = () => undefined,
): Promise<Content | ExitCode> {
  const { node } = given;
  const named = node === undefined ? request : { ...request, node };
  const asked = await answered(named, given, context);
  if (!asked.ok) return asked.code;
  const { error } = asked.content;
  const complain = (message: string): ExitCode => {
    context.stderr.write(`${plainText(message)}\n`);
    return EXIT.failure;
  };
  if (typeof error === 'string') return complain(unseen() ?? asSentence(error));
  const content = asked.content[field] as Content | undefined;
  if (content?.format === REPORT_FORMAT) return content;
  return complain('The daemon that runs is of another version than this command; restart it.');
}

/** The command is last and has no full stop, so that it can be copied. */
const TO_START = 'To start the daemon: systemctl start lxc_autoscale';

async function answered(
  request: AboutCycle,
  given: Arguments,
  context: ProcessContext,
): Promise<Asked> {
  const { paths, stderr } = context;
  const path = paths.at(CONTROL_SOCKET);
  // A daemon would answer all the same, but whoever names a file wants to hear of it.
  if (given.configFile !== undefined && !existsSync(configurationFile(given.configFile, paths))) {
    const loaded = readConfiguration(given, context);
    if (!loaded.ok) stderr.write(renderProblems(loaded));
    return { ok: false, code: EXIT.configuration };
  }
  const answer = await askControlSocket(path, request);
  if (answer.kind === 'answered') return { ok: true, content: answer.content };
  if (answer.kind === 'forbidden') {
    stderr.write(`Only root may ask the daemon (${path}: ${answer.why}).\n`);
    return { ok: false, code: EXIT.failure };
  }
  const looked = await lookNow(request, given, context);
  if (looked.ok) {
    const remedy = answer.kind === 'nobody' ? ` ${TO_START}` : '';
    const says = `The daemon does not answer: ${answer.why}. This is a one-time evaluation.`;
    stderr.write(`${says}${remedy}\n`);
  }
  return looked;
}

/** Observes and decides as a dry run does, on the saved state; writes nothing anywhere. */
async function lookNow(
  request: AboutCycle,
  given: Arguments,
  context: ProcessContext,
): Promise<Asked> {
  const { stderr } = context;
  const loaded = readConfiguration(given, context);
  const refusal = (await whyNotNow(loaded, context)) ?? whyUnfit(loaded, context);
  if (refusal !== undefined) {
    stderr.write(`${refusal}\n`);
    return { ok: false, code: EXIT.failure };
  }
  if (!loaded.ok) {
    stderr.write(renderProblems(loaded));
    return { ok: false, code: EXIT.configuration };
  }
  const quiet = { ...context, stdout: nowhere() };
  const open = await openNamed(given.node, loaded.config, quiet);
  if (typeof open === 'string') {
    stderr.write(`${plainText(open)}\n`);
    return { ok: false, code: EXIT.failure };
  }
  try {
    const complaining: Log = {
      ...SILENT,
      warn: (line) => void stderr.write(`${plainText(line)}\n`),
    };
    const quietly = { ...open.world, log: complaining };
    const { state } = stateKeeper(quietly, context, true, open.below);
    const views: CycleView[] = [];
    const looked = onFirstSight(settingsOf(onNode(loaded.config, open.name), { dryRun: true }));
    const settings = forGuestsOf(looked, () => state);
    const looking = { ...settings, inspect: (view: CycleView) => void views.push(view) };
    const result = await runCycle(watching(withoutHands(open.world)), looking, state, NEVER);
    if (!result.ok) {
      stderr.write(`The containers cannot be seen: ${plainText(result.detail)}\n`);
      return { ok: false, code: EXIT.failure };
    }
    const { timezone } = loaded.config;
    const nowMs = context.clock.monotonicMs();
    const { name: node } = open;
    const now = { from: 'now', timezone, nowMs } as const;
    const { isShared, shown } = countingFile(given.configFile, context.paths);
    const configuration = isShared ? shown : undefined;
    const { found } = loaded.config.nodes.find(({ name }) => name === node) ?? {};
    const known = { ...now, node, view: views[0], settings, state, configuration, found };
    return { ok: true, content: { ...answerTo(request, [known]) } };
  } finally {
    await open.close();
  }
}

const NEVER = new AbortController().signal;

/** A stream that swallows what is written to it. */
export const nowhere = (): Writable =>
  new Writable({ write: (_chunk, _encoding, done): void => done() });
