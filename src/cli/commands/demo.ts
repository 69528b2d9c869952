import type { Command } from '../command.ts';
import { runLabCommand } from '../lab.ts';
import { DEFAULT_DEMO_SECONDS } from '../options.ts';

export const demo: Command = {
  name: 'demo',
  subject: 'none',
  summary: 'Run the daemon on a simulated node: a day of eight containers in a minute',
  help: 'Everything is in a temporary directory. Nothing of this machine is changed.',
  examples: {
    demo: 'a day in a minute',
    'demo --duration 5m': 'the same at leisure',
    'demo --http --duration 1h': 'and the page to look at, at the address that it prints',
  },
  options: {
    duration: `Seconds to run, or 5m (default ${DEFAULT_DEMO_SECONDS}): a day passes in them`,
    trace: 'Take the demand from a CSV file: time_s,container,cpu_cores,memory_mb',
    http: 'Serve the page and the API on 127.0.0.1, and print the link',
    containers: 'With --trace: only its first N containers (default 50, at most 300)',
  },
  run: (given, context) => runLabCommand('demo', given, context),
};
