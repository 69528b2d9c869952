import type { Command } from '../command.ts';
import { runLabCommand } from '../lab.ts';
import { REPLAYED } from '../options.ts';

export const backtest: Command = {
  name: 'backtest',
  subject: 'none',
  summary: 'Show what each policy would have done with recorded demand',
  examples: {
    'backtest --history': 'the demand that the daemon recorded here',
    'backtest --trace usage.csv --after 1': 'without the first day, in which nothing is known yet',
    'backtest --trace usage.csv --html report.html': 'a recorded trace, as a page with plots',
  },
  options: {
    ...REPLAYED,
    policy: 'Compare only these policies; docs/commands.md has their names',
    split: 'Only one half of the containers, 1 or 2, drawn by a hash of their names',
    after: 'Do not count the first DAYS of each container; what is learnt in them stays',
    cold: 'Begin each day anew, as with a container that nobody knows',
    html: 'Write a report with plots, as one file',
  },
  run: (given, context) => runLabCommand('backtest', given, context),
};
