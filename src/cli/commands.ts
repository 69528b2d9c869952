import type { Command } from './command.ts';
import { activate } from './commands/activate.ts';
import { backtest } from './commands/backtest.ts';
import { backups } from './commands/backups.ts';
import { checkConfig } from './commands/check-config.ts';
import { configure } from './commands/configure.ts';
import { daemon } from './commands/daemon.ts';
import { dashboard } from './commands/dashboard.ts';
import { demo } from './commands/demo.ts';
import { explain } from './commands/explain.ts';
import { exportUsage } from './commands/export.ts';
import { healthCheck } from './commands/health-check.ts';
import { history } from './commands/history.ts';
import { members } from './commands/members.ts';
import { migrateConfig } from './commands/migrate-config.ts';
import { notifyTest } from './commands/notify-test.ts';
import { observe } from './commands/observe.ts';
import { once } from './commands/once.ts';
import { recommend } from './commands/recommend.ts';
import { release } from './commands/release.ts';
import { report } from './commands/report.ts';
import { rollback } from './commands/rollback.ts';
import { setupToken } from './commands/setup-token.ts';
import { status } from './commands/status.ts';

/** The table of commands. Help, completions, manual page and docs/commands.md are made of it. */

export const COMMAND_GROUPS: Readonly<Record<string, readonly Command[]>> = {
  Run: [daemon, once],
  Look: [status, explain, history, report, dashboard, members, healthCheck, checkConfig],
  Undo: [backups, rollback, release],
  'Set up': [configure, activate, observe, migrateConfig, setupToken, notifyTest],
  'Plan and try out': [demo, recommend, backtest, exportUsage],
};

export const COMMANDS: readonly Command[] = Object.values(COMMAND_GROUPS).flat();

export const commandOf = (name: string | undefined): Command | undefined =>
  COMMANDS.find((command) => command.name === name);
