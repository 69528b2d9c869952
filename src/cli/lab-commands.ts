import { version } from '../../package.json';
import type { ProcessContext } from '../app/context.ts';
import type { ExitCode } from '../app/exit-codes.ts';
import type { Signals } from '../app/scheduler.ts';
import type { Arguments } from './arguments.ts';
import { backtest } from './backtest.ts';
import { demo } from './demo.ts';
import { migrateConfig } from './migrate-config.ts';
import { recommend } from './recommend.ts';

/** The second file of the program: commands that a node seldom runs, and the simulated node. */

export const LAB_COMMANDS = {
  backtest,
  demo,
  'migrate-config': migrateConfig,
  recommend,
} as const satisfies Readonly<
  Record<
    string,
    (given: Arguments, context: ProcessContext, signals: Signals) => ExitCode | Promise<ExitCode>
  >
>;

export type LabCommandName = keyof typeof LAB_COMMANDS;

export { version };
