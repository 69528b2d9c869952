import { TESTED_CHANNELS } from '../channels.ts';
import type { Command } from '../command.ts';
import { CONFIGURED } from '../options.ts';

export const notifyTest: Command = {
  name: 'notify-test',
  subject: 'channel or none',
  summary: 'Send a test message through each channel, or one, and print the answer',
  help: `Channels: ${TESTED_CHANNELS.join(', ')}.`,
  examples: {
    'notify-test': 'every channel that is set up',
    'notify-test gotify': 'one',
  },
  options: CONFIGURED,
  requires: 'answers',
  run: async (given, context) => (await import('../notify-test.ts')).notifyTest(given, context),
};
