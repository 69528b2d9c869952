import { createInterface } from 'node:readline/promises';
import { countingFile, USUAL_FILE } from '../app/configuration.ts';
import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { whyNotHere } from '../app/unfit.ts';
import { parseConfig } from '../config/load.ts';
import { renderProblem } from '../config/problem.ts';
import { type Answers, type Proposal, proposalText, propose } from '../config/proposal.ts';
import { IGNORE_TAG } from '../config/tags.ts';
import type { GuestConfig } from '../core/observation.ts';
import type { Reading } from '../core/reading.ts';
import { parseVmid, type Vmid } from '../core/units.ts';
import type { MachineAdvice } from '../node/guests/qemu-advice.ts';
import { createHostView } from '../node/local/kernel/proc-files.ts';
import { createGuests } from '../node/local/pve/guests.ts';
import type { Arguments } from './arguments.ts';
import type { CommandContext } from './command.ts';
import { adviceLines, machinesHere } from './machine-advice.ts';
import { measure } from './measure.ts';
import { createProgress } from './progress.ts';
import { type Basis, hoursWords, recordedBasis } from './recorded-basis.ts';
import { hanging, terminalWidth } from './view.ts';
import { noPlaceFor, putConfiguration } from './write-configuration.ts';

/** `configure`: a guided start. Measures, proposes, asks little, writes a commented file. */

/** Asks a person one thing; undefined if there is nobody any more (Ctrl-D). */
export type Ask = (question: string) => Promise<string | undefined>;

const NO_TERMINAL =
  'configure asks questions, and there is no terminal to ask them on; with --yes it takes every ' +
  'proposal without asking.\n';

export async function configure(given: Arguments, context: CommandContext): Promise<ExitCode> {
  const { stdin } = context;
  if (given.yes) return configureWith(given, context, undefined);
  if (!stdin.isTTY) {
    context.stderr.write(NO_TERMINAL);
    return EXIT.usage;
  }
  const terminal = onTerminal(stdin, context.stdout);
  try {
    return await configureWith(given, context, terminal.ask);
  } finally {
    terminal.close();
  }
}

/** Opened with the first question: until then Ctrl-C ends the program as it does any other. */
function onTerminal(input: NodeJS.ReadStream, output: NodeJS.WritableStream) {
  let close = (): void => {};
  const open = (): Ask => {
    const lines = createInterface({ input, output });
    close = () => lines.close();
    const gone = new Promise<undefined>((resolve) => {
      lines.once('close', () => resolve(undefined));
    });
    return (question) => Promise.race([lines.question(question), gone]);
  };
  let asking: Ask | undefined;
  const ask: Ask = (question) => {
    asking ??= open();
    return asking(question);
  };
  return { ask, close: () => close() };
}

/** The same with whoever answers; undefined: every proposal is taken. */
export async function configureWith(
  given: Arguments,
  context: ProcessContext,
  ask: Ask | undefined,
): Promise<ExitCode> {
  const { stdout, stderr, paths } = context;
  const refuse = (message: string): ExitCode => {
    stderr.write(`${message}\n`);
    return EXIT.failure;
  };
  const unfit = whyNotHere(context);
  if (unfit !== undefined) return refuse(unfit);
  const { isShared, shown } = countingFile(undefined, paths);
  if (isShared && given.outFile === undefined) return refuse(`${shown} ${OF_ALL_NODES}`);
  const target = given.outFile ?? USUAL_FILE;
  const noPlace = given.outFile === undefined ? undefined : noPlaceFor(target, context);
  if (noPlace !== undefined) return refuse(noPlace);
  const listed = createGuests(paths).list();
  if (!listed.ok) return refuse(`The containers cannot be seen: ${listed.detail}.`);
  const { cpus, memory } = createHostView(paths, () => NO_VMS).observe();
  if (!cpus.ok) return refuse(`The host's CPUs cannot be counted: ${cpus.detail}.`);
  if (!memory.ok) return refuse(`The host's memory cannot be read: ${memory.detail}.`);
  const guests = manageable([...listed.value.values()]);
  const seconds = given.measureSeconds;
  const progress = createProgress(stderr, seconds, context.clock);
  const measured = await measure(guests, cpus, seconds, context, (running, taken, of) => {
    if (taken > 0) {
      progress.advance(seconds / of, `${Math.round((seconds * (of - taken)) / of)} s left`);
      return;
    }
    const rest = guests.length - running;
    const others = rest === 0 ? '' : ` (${rest} more ${rest === 1 ? 'does' : 'do'} not run)`;
    const what = some(running, 'running container');
    stdout.write(`Measuring ${what} for ${some(seconds, 'second')}${others}...\n`);
  });
  progress.finish();
  const host = { cpus: cpus.value, memoryMib: memory.value.totalMib };
  const basis = await recordedBasis(measured, host, given, context);
  const proposal = propose(host, basis?.measured ?? measured);
  const said = [...overview(proposal, measured.length)];
  if (measured.length > 0) said.push(basisWords(basis, seconds));
  stdout.write(`${hanging(said, terminalWidth(context)).join('\n')}\n`);
  const answers = await answersTo(ask, proposal, basis);
  if (answers === undefined) return refuse('Nothing was written.');
  const text = proposalText(proposal, answers, useWords(basis, seconds));
  const check = parseConfig(text, 'the proposal', {});
  if (!check.ok) return refuse(check.problems.map(renderProblem).join('\n'));
  stdout.write(`\n${text}\n`);
  if (!(await agrees(ask, `Write this to ${target}?`))) return refuse('Nothing was written.');
  if (!putConfiguration(target, text, context)) return EXIT.failure;
  const machines = hanging(machineLines(machinesHere(context)), terminalWidth(context));
  for (const line of machines) stdout.write(`${line}\n`);
  stdout.write(
    'Next: lxc-autoscale check-config, then systemctl reload-or-restart lxc_autoscale\n',
  );
  return EXIT.fine;
}

const OF_ALL_NODES =
  'is the configuration here, and all nodes of the cluster share it; this command measures one ' +
  'node only, so it does not write it. To have a proposal in another file: --out FILE. With ' +
  `--out ${USUAL_FILE} this node has a configuration of its own from then on.`;

const some = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

/** How to have virtual machines managed, and what they need for that. */
function machineLines(machines: readonly MachineAdvice[]): readonly string[] {
  if (machines.length === 0) return [];
  const ids = machines.map(({ vmid }) => vmid).join(', ');
  const how = `To manage them too: manage_vms: True, or virtual_machines: [${ids}] in a tier.`;
  const only = `Virtual machines are only counted: ${ids}. ${how}`;
  return ['', only, ...adviceLines(machines), ''];
}

/** What virtual machines have is of no importance here. */
const NO_VMS = { ok: false, why: 'absent', detail: 'not asked for' } as const;

const manageable = (guests: readonly Reading<GuestConfig>[]): GuestConfig[] =>
  guests
    .flatMap((guest) => (guest.ok ? [guest.value] : []))
    .filter(({ template, tags }) => !template && !hasIgnoreTag(tags))
    .sort((a, b) => a.vmid - b.vmid);

const hasIgnoreTag = (tags: readonly string[]): boolean =>
  tags.some((tag) => tag.toLowerCase() === IGNORE_TAG);

function overview({ tiers, others }: Proposal, running: number): readonly string[] {
  if (running === 0) return ['No container runs, so only DEFAULT is proposed.'];
  const lines = tiers.map(
    ({ name, why, members }) => `${name}: ${members.map(({ vmid }) => vmid).join(', ')} (${why})`,
  );
  if (others.length > 0) lines.push(`DEFAULT: ${others.map(({ vmid }) => vmid).join(', ')}`);
  return lines;
}

const useWords = (basis: Basis | undefined, seconds: number): string => {
  const now = `${some(seconds, 'second')} of use`;
  return basis === undefined ? now : `${now}, and ${hoursWords(basis.hours)} of recorded use,`;
};

/** How much is known, and what `adaptive` would make of it. */
function basisWords(basis: Basis | undefined, seconds: number): string {
  if (basis === undefined) {
    const thin = `That rests on ${some(seconds, 'second')} of use, which is little`;
    return `${thin}: once the daemon has recorded a day, configure goes by that.`;
  }
  const upTo = `up to ${hoursWords(basis.hours)} of it`;
  if (basis.adaptive !== undefined) {
    return `The proposal goes by recorded use, ${upTo}. ${basis.adaptive}`;
  }
  const later = 'After a day, mode adaptive is proposed too.';
  return `The peaks of recorded use count too, ${upTo}. ${later}`;
}

async function answersTo(
  ask: Ask | undefined,
  { tiers }: Proposal,
  basis: Basis | undefined,
): Promise<Answers | undefined> {
  const canLearn = basis?.adaptive !== undefined;
  const proposed: Answers = { observe: true, ignored: [], withTiers: true, adaptive: canLearn };
  if (ask === undefined) return proposed;
  const observe = await choice(
    ask,
    'Only observe at first (o), or change containers at once (c)? [o] ',
    { '': true, o: true, observe: true, c: false, change: false },
  );
  if (observe === undefined) return undefined;
  const learns = 'Scale by what was recorded (adaptive), not by thresholds? [Y/n] ';
  const adaptive = canLearn && (await choice(ask, learns, YES_OR_NO));
  if (adaptive === undefined) return undefined;
  const ignored = await idsFrom(ask);
  if (ignored === undefined) return undefined;
  const question = 'Put the containers into the tiers above? [Y/n] ';
  const withTiers = tiers.length === 0 ? true : await choice(ask, question, YES_OR_NO);
  return withTiers === undefined ? undefined : { observe, ignored, withTiers, adaptive };
}

const YES_OR_NO = { '': true, y: true, yes: true, n: false, no: false };

async function agrees(ask: Ask | undefined, question: string): Promise<boolean> {
  if (ask === undefined) return true;
  return (await choice(ask, `${question} [Y/n] `, YES_OR_NO)) ?? false;
}

/** Asks until the answer is one of those that are known. */
async function choice(
  ask: Ask,
  question: string,
  meanings: Readonly<Record<string, boolean>>,
): Promise<boolean | undefined> {
  for (;;) {
    const answer = await ask(question);
    if (answer === undefined) return undefined;
    const word = answer.trim().toLowerCase();
    if (Object.hasOwn(meanings, word)) return meanings[word];
  }
}

async function idsFrom(ask: Ask): Promise<Vmid[] | undefined> {
  let question = 'Ids of containers to ignore, with commas? [none] ';
  for (;;) {
    const answer = await ask(question);
    if (answer === undefined) return undefined;
    const words = answer.split(/[\s,]+/).filter((word) => word !== '');
    const ids = words.map(parseVmid);
    const known = ids.filter((id) => id !== undefined);
    if (known.length === ids.length) return [...new Set(known)];
    question = 'Ids are whole numbers from 100 to 999999999, with commas between them. Which? ';
  }
}
