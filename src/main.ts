#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8';
import { version } from '../package.json';
import { readConfiguration } from './app/configuration.ts';
import { daemon } from './app/daemon.ts';
import { EXIT, type ExitCode } from './app/exit-codes.ts';
import { once } from './app/once.ts';
import { run } from './app/run.ts';
import { whyNoConfiguration, whyNotNow } from './app/unfit.ts';
import type { Surroundings } from './app/world.ts';
import { type Arguments, type CommandName, HELP, parseArguments } from './cli/arguments.ts';
import { backups } from './cli/backups.ts';
import { checkConfig } from './cli/check-config.ts';
import { isLabCommand, runLabCommand } from './cli/lab.ts';
import { rollback } from './cli/rollback.ts';
import { plainText } from './core/plain-text.ts';
import { milliseconds } from './core/units.ts';
import { isAnyUnanswered } from './host/answering-files.ts';
import { createCluster } from './host/cluster-files.ts';
import { programProblem } from './host/executable-files.ts';
import { createGuests } from './host/guests.ts';
import { createPaths } from './host/paths.ts';
import type { Clock } from './ports.ts';

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
    case 'help':
      stdout.write(HELP);
      return EXIT.fine;
    case 'version':
      stdout.write(`lxc-autoscale ${version}\n`);
      return EXIT.fine;
    case 'wrong':
      stderr.write(`lxc-autoscale: ${plainText(parsed.message)}\nSee lxc-autoscale --help.\n`);
      return EXIT.usage;
    case 'run':
      return carryOut(parsed.arguments);
  }
}

/** Commands that look at `/etc/pve`, at logs or at backups. Others ask the daemon before. */
const LOOKING: ReadonlySet<CommandName> = new Set<CommandName>([
  ...(['check-config', 'history', 'notify-test', 'backups', 'rollback', 'recommend'] as const),
  ...(['configure', 'export'] as const),
]);

/** Commands on what the daemon keeps, which a configuration alone does not help. */
const OF_A_NODE: ReadonlySet<CommandName> = new Set<CommandName>([
  ...(['history', 'backups', 'export', 'rollback'] as const),
]);

async function whyNot(given: Arguments, around: Surroundings): Promise<string | undefined> {
  const { command } = given;
  const looks = LOOKING.has(command);
  const notNow = looks ? await whyNotNow(readConfiguration(given, around), around) : undefined;
  return notNow ?? (OF_A_NODE.has(command) ? whyNoConfiguration(given, around) : undefined);
}

async function carryOut(given: Arguments): Promise<ExitCode> {
  const { stdout, stderr } = process;
  const paths = createPaths(given.sysroot);
  const around: Surroundings = { paths, clock, env: process.env, stdout, stderr };
  const refusal = await whyNot(given, around);
  if (refusal !== undefined) {
    stderr.write(`${refusal}\n`);
    return EXIT.failure;
  }
  const { command } = given;
  if (isLabCommand(command)) return runLabCommand(command, given, around, process);
  switch (command) {
    case 'daemon':
    case 'once':
      optimizeLate();
      return run(given.command === 'once' ? once : daemon, given, around, process);
    case 'check-config': {
      const loadResult = readConfiguration(given, around);
      const guests = createGuests(paths).list();
      const write = (text: string) => stdout.write(text);
      const readCluster = () => createCluster(paths).read();
      return checkConfig({ loadResult, guests, programProblem, readCluster, write });
    }
    case 'status': {
      const { status } = await import('./cli/status.ts');
      return status(given, around);
    }
    case 'explain':
      return (await import('./cli/explain.ts')).explain(given, around);
    case 'history':
      return (await import('./cli/history.ts')).history(given, around);
    case 'notify-test':
      return (await import('./cli/notify-test.ts')).notifyTest(given, around);
    case 'health-check':
      return (await import('./cli/health-check.ts')).healthCheck(given, around);
    case 'members':
      return (await import('./cli/members.ts')).members(given, around);
    case 'release':
      return (await import('./cli/release.ts')).release(around);
    case 'backups':
      return backups(given, around);
    case 'export': {
      const { exportUsage } = await import('./cli/export.ts');
      return exportUsage(given, around);
    }
    case 'rollback':
      return rollback(given, around, process);
    case 'configure': {
      const { configure } = await import('./cli/configure.ts');
      return configure(given, around, process.stdin);
    }
  }
}

/**
 * Only what runs again and again for hours is worth the optimizing compiler, which takes memory for
 * each function: it is asked fifteen times later than by default. Left out as a whole it would save
 * 1 MB and make observing take three times as long (`npm run bench observe`).
 */
function optimizeLate(): void {
  setFlagsFromString('--interrupt-budget=2000000');
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
  // Only a broken invariant comes here: what a user or the node can do wrong is a value elsewhere.
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`lxc-autoscale: internal error, please report it: ${what}\n`);
  return end(EXIT.failure);
});
