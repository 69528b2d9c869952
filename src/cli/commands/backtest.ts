import type { Command } from '../command.ts';
import { runLabCommand } from '../lab.ts';
import { REPLAYED } from '../options.ts';

export const backtest: Command = {
  name: 'backtest',
  subject: 'none',
  summary: 'Show what each policy would have done with recorded demand',
  examples: {
    'backtest --history': 'the demand that the daemon recorded here',
    'backtest --trace usage.csv --html report.html': 'a recorded trace, as a page with plots',
  },
  options: {
    ...REPLAYED,
    policy: 'Compare only these policies; docs/commands.md has their names',
    html: 'Write a report with plots, as one file',
  },
  run: (given, context) => runLabCommand('backtest', given, context),
};
