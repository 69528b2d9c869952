import { closest } from '../config/suggest.ts';
import { COMMANDS } from './commands.ts';

/** What people type who know other programs, and how it is done here. */

const UNIT = 'lxc_autoscale';
const ofService = (verb: string): string => `To ${verb} the service: systemctl ${verb} ${UNIT}`;

const ELSEWHERE: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['start', 'stop', 'restart', 'reload', 'enable', 'disable'].map((verb) => [
      verb,
      ofService(verb),
    ]),
  ),
  log: `Its log: journalctl -u ${UNIT}`,
  logs: `Its log: journalctl -u ${UNIT}`,
  list: 'All containers: lxc-autoscale status',
  ls: 'All containers: lxc-autoscale status',
  ps: 'All containers: lxc-autoscale status',
  top: 'All containers, again and again: lxc-autoscale status --watch',
  undo: 'To undo a change: lxc-autoscale rollback GUEST',
  config: 'To check it: lxc-autoscale check-config. To make one: lxc-autoscale configure',
  install: 'The installer is install.sh, or sh lxc-autoscale.run install',
  uninstall: 'To remove it: uninstall.sh, or apt remove lxc-autoscale',
  update: 'To update it, run the installer of the new version',
  upgrade: 'To update it, run the installer of the new version',
};

/** Shorter beginnings stand for too much. */
const LEAST_PREFIX = 3;

/** What most likely was meant by a word that is no command: a sentence, or undefined. */
export function meantByCommand(word: string): string | undefined {
  const elsewhere = Object.hasOwn(ELSEWHERE, word) ? ELSEWHERE[word] : undefined;
  if (elsewhere !== undefined) return elsewhere;
  const names = COMMANDS.map(({ name }) => name);
  const begun = word.length < LEAST_PREFIX ? [] : names.filter((name) => name.startsWith(word));
  const near = begun.length === 1 ? begun[0] : closest(word, names);
  return near === undefined ? undefined : `Did you mean '${near}'?`;
}
