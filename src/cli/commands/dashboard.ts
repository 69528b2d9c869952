import type { Command } from '../command.ts';
import { runLabCommand } from '../lab.ts';
import { STATE, SYSROOT } from '../options.ts';

export const dashboard: Command = {
  name: 'dashboard',
  subject: 'none',
  summary: 'Print the address of the page, with a link that logs in once',
  help: 'The daemon makes the link. Whoever opens it within 5 minutes is logged in as admin.',
  examples: {
    dashboard: 'open the link that it prints',
    'dashboard --add-note': 'put the address of the page into the notes of the datacenter too',
  },
  options: {
    'add-note': 'Put a link to the page (without a login) into the notes of the datacenter',
    'remove-note': 'Take that link out of the notes again, and do nothing else',
    ...SYSROOT,
    ...STATE,
  },
  run: (given, context) => runLabCommand('dashboard', given, context),
};
