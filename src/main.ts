#!/usr/bin/env -S node --
import type { Writable } from 'node:stream';
import { version } from '../package.json';
import { readConfiguration, readEnvironmentFile } from './app/configuration.ts';
import { EXIT, type ExitCode } from './app/exit-codes.ts';
import { whyStateNotTrusted } from './app/state-dir.ts';
import { whyNoConfiguration, whyNotNow } from './app/unfit.ts';
import type { Arguments } from './cli/arguments.ts';
import type { Command, CommandContext } from './cli/command.ts';
import { parseArguments } from './cli/command-line.ts';
import { unfitFile } from './core/installation.ts';
import { plainText } from './core/plain-text.ts';
import { present } from './core/reading.ts';
import { milliseconds } from './core/units.ts';
import { createPaths } from './node/local/paths.ts';
import type { Clock } from './node/port.ts';
import { isAnyUnanswered } from './os/answering-files.ts';

/** From the command line to a command. The only place that ends the process. */

const clock: Clock = {
  wallMs: () => milliseconds(Date.now()),
  // From the boot of the host on, so that it means the same to the next process.
  monotonicMs: () => milliseconds(Number(process.hrtime.bigint()) / 1e6),
};

/** Whatever it was started with: nothing that is made here may be written by others. */
const KEPT_FROM_OTHERS = 0o022;

async function main(argv: readonly string[]): Promise<ExitCode> {
  process.umask(process.umask() | KEPT_FROM_OTHERS);
  const parsed = parseArguments(argv);
  const { stdout, stderr } = process;
  switch (parsed.kind) {
    case 'help': {
      const { commandHelp, programHelp } = await import('./cli/help.ts');
      stdout.write(parsed.command === undefined ? programHelp() : commandHelp(parsed.command));
      return EXIT.fine;
    }
    case 'bare':
      stderr.write((await import('./cli/help.ts')).programHelp());
      return EXIT.usage;
    case 'version':
      stdout.write(`lxc-autoscale ${version}\n`);
      return EXIT.fine;
    case 'wrong': {
      const about = parsed.command === undefined ? '' : `${parsed.command.name} `;
      const told = await folding(stderr);
      told.write(`lxc-autoscale: ${plainText(parsed.message)}\n`);
      told.write(`See lxc-autoscale ${about}--help.\n`);
      return EXIT.usage;
    }
    case 'run':
      return carryOut(parsed.command, parsed.arguments);
  }
}

/** Loaded for a terminal only, which the service does not have. */
const folding = async (stream: NodeJS.WriteStream): Promise<Writable> =>
  stream.isTTY ? (await import('./cli/folded-output.ts')).foldedOn(stream) : stream;

async function carryOut(command: Command, typed: Arguments): Promise<ExitCode> {
  const { env, stdin, stdout } = process;
  const stderr = await folding(process.stderr);
  const read = typed.envFile === undefined ? present({}) : readEnvironmentFile(typed.envFile);
  if (!read.ok) {
    stderr.write(`${plainText(read.detail)}\n`);
    return EXIT.configuration;
  }
  const variables: Readonly<Record<string, string>> = read.value;
  const given = withVariables(typed, { ...variables, ...env });
  const paths = createPaths(given.sysroot, undefined, given.stateDir);
  const out = { stdin, stdout, stderr };
  const context: CommandContext = { paths, clock, env, variables, ...out, signals: process };
  const refusal = await whyNot(command, given, context);
  const ready = refusal ?? (await withId(given, command, context));
  if (typeof ready !== 'string') return command.run(ready, context);
  stderr.write(`${plainText(ready)}\n`);
  return EXIT.failure;
}

/** The command line stands over the environment. */
const withVariables = (
  given: Arguments,
  { CONFIG_FILE, LXC_AUTOSCALE_STATE }: CommandContext['env'],
): Arguments => ({
  ...given,
  configFile: given.configFile ?? (CONFIG_FILE === '' ? undefined : CONFIG_FILE),
  stateDir: given.stateDir ?? (LXC_AUTOSCALE_STATE === '' ? undefined : LXC_AUTOSCALE_STATE),
});

/** The arguments with the id of a guest that was named, or a sentence on why there is none. */
async function withId(
  given: Arguments,
  command: Command,
  context: CommandContext,
): Promise<Arguments | string> {
  if (given.guestName === undefined) return given;
  return (await import('./cli/guest-name.ts')).withGuest(given, command, context);
}

async function whyNot(
  { requires }: Command,
  given: Arguments,
  context: CommandContext,
): Promise<string | undefined> {
  if (requires === undefined) return undefined;
  const notNow = await whyNotNow(readConfiguration(given, context), context);
  if (notNow !== undefined || requires === 'answers') return notNow;
  return whyStateNotTrusted(context.paths) ?? whyNoConfiguration(given, context);
}

/** What is written to a pipe is written later; a process that ends at once would lose it. */
function drained(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => resolve());
  });
}

async function end(code: ExitCode): Promise<never> {
  await Promise.race([
    Promise.all([drained(process.stdout), drained(process.stderr)]),
    new Promise((resolve) => setTimeout(resolve, 1000)),
  ]);
  // Node would wait for a thread that waits for a file system. This end waits for nobody, and is an
  // orderly one for systemd.
  if (isAnyUnanswered()) {
    process.removeAllListeners('SIGTERM');
    process.kill(process.pid, 'SIGTERM');
    await new Promise(() => {});
  }
  process.exit(code);
}

main(process.argv.slice(2)).then(end, (error: unknown) => {
  // A file beside this one is missing, or of another release: the build has its sentence.
  const unfit = unfitFile(error);
  if (unfit !== undefined) {
    process.stderr.write(`lxc-autoscale: ${plainText(unfit)}\n`);
    return end(EXIT.failure);
  }
  // Only a broken invariant comes here: what a user or the node can do wrong is a value elsewhere.
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`lxc-autoscale: internal error, please report it: ${what}\n`);
  return end(EXIT.failure);
});
