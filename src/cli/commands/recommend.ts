import type { Command } from '../command.ts';
import { runLabCommand } from '../lab.ts';
import { REPLAYED } from '../options.ts';

export const recommend: Command = {
  name: 'recommend',
  subject: 'container or none',
  summary: 'Show what each container should have, by its recorded demand',
  help: 'Nothing is changed.',
  examples: {
    recommend: 'all containers, by the usage that was recorded here',
    'recommend nextcloud --yaml': 'one, as lines for the configuration',
  },
  options: { ...REPLAYED, yaml: 'Print YAML, to paste into a configuration' },
  requires: 'answers',
  run: (given, context) => runLabCommand('recommend', given, context),
};
