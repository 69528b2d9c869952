import type { ExitCode } from '../app/exit-codes.ts';
import type { Signals } from '../app/scheduler.ts';
import type { Arguments } from './arguments.ts';
import { backtest } from './backtest.ts';
import type { CommandContext } from './command.ts';
import { configure } from './configure.ts';
import { dashboard } from './dashboard.ts';
import { demo } from './demo.ts';
import { migrateConfig } from './migrate-config.ts';
import { recommend } from './recommend.ts';
import { activate, observe } from './switch-mode.ts';

/** The second file of the program: commands that a node seldom runs, and the simulated node. */

export const LAB_COMMANDS = {
  activate,
  backtest,
  configure,
  dashboard,
  demo,
  'migrate-config': migrateConfig,
  observe,
  recommend,
} as const satisfies Readonly<
  Record<
    string,
    (given: Arguments, context: CommandContext, signals: Signals) => ExitCode | Promise<ExitCode>
  >
>;

export type LabCommandName = keyof typeof LAB_COMMANDS;
