import type { Command } from '../command.ts';
import { SYSROOT } from '../options.ts';

export const release: Command = {
  name: 'release',
  subject: 'none',
  summary: 'Put memory.high back if a process that was killed left it low',
  help: 'The daemon does this in its next cycle. uninstall.sh runs this, since no daemon follows.',
  examples: {
    release: 'put memory.high back',
  },
  options: SYSROOT,
  run: async (_given, context) => (await import('../release.ts')).release(context),
};
