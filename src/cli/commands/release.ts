import type { Command } from '../command.ts';
import { CONFIGURED, DRY_RUN, ONE_NODE } from '../options.ts';

export const release: Command = {
  name: 'release',
  subject: 'none',
  summary: 'Put memory.high back if a process that was killed left it low',
  help: 'The daemon does this in its next cycle. uninstall.sh runs this, since no daemon follows.',
  examples: {
    release: 'put memory.high back',
    'release --notes': 'remove what write_notes has written in the notes of all guests',
  },
  options: {
    ...CONFIGURED,
    ...ONE_NODE,
    ...DRY_RUN,
    notes:
      'Do nothing but remove the last change from the notes of all guests of the node, whatever ' +
      'their policies say. Only what stands between the two marks in the form of lxc-autoscale ' +
      'goes; the rest stays as it is',
  },
  run: async (given, context) =>
    given.notes
      ? (await import('../release-notes.ts')).releaseNotes(given, context, context.signals)
      : (await import('../release.ts')).release(context),
};
