import { closest } from '../config/suggest.ts';
import type { Command } from './command.ts';
import { COMMANDS } from './commands.ts';

/** What people type who know other programs, and how it is done here. */

const UNIT = 'lxc_autoscale';
const ofService = (verb: string): string => `To ${verb} the service: systemctl ${verb} ${UNIT}`;

const all = (words: readonly string[], means: (word: string) => string) =>
  Object.fromEntries(words.map((word) => [word, means(word)]));

const ELSEWHERE: Readonly<Record<string, string>> = {
  ...all(['start', 'stop', 'restart', 'reload'], ofService),
  enable: `${ofService('enable')}. To let it act: lxc-autoscale activate`,
  disable: `${ofService('disable')}. To let it only observe: lxc-autoscale observe`,
  ...all(['log', 'logs'], () => `Its log: journalctl -u ${UNIT}`),
  ...all(['list', 'ls', 'ps', 'stats'], () => 'All containers: lxc-autoscale status'),
  ...all(
    ['show', 'info', 'get', 'describe', 'inspect'],
    () => 'For one container: lxc-autoscale status GUEST, or lxc-autoscale explain GUEST',
  ),
  ...all(
    ['set', 'scale', 'resize'],
    () => 'To change a container yourself: pct set. Such a value stays for an hour',
  ),
  ...all(
    ['validate', 'verify', 'lint', 'test'],
    () => 'To check the configuration: lxc-autoscale check-config',
  ),
  ...all(['web', 'ui', 'gui', 'page'], () => 'The page in the browser: lxc-autoscale dashboard'),
  run: 'For one cycle: lxc-autoscale once. As a service: systemctl start lxc_autoscale',
  ...all(['setup', 'init'], () => 'To make a configuration: lxc-autoscale configure'),
  metrics: 'Metrics are served at metrics_listen, or written to metrics_textfile',
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
  const names = [...COMMANDS.map(({ name }) => name), 'help', 'version'];
  const begun = word.length < LEAST_PREFIX ? [] : names.filter((name) => name.startsWith(word));
  const near = begun.length === 1 ? begun[0] : closest(word, names);
  return near === undefined ? undefined : `Did you mean '${near}'?`;
}

/** Commands that print a line for each of what they have, the newest last. */
const LISTS = ['history', 'export'];

/** The same for options that there are not, where the command has something in their place. */
export function meantByOption(word: string, command: Command | undefined): string | undefined {
  const { name = '', options = {} } = command ?? {};
  if (['--limit', '--tail', '--lines', '--last', '-n'].includes(word) && LISTS.includes(name)) {
    return `The last ones: lxc-autoscale ${name} | tail -n 5`;
  }
  if (['--days', '--hours'].includes(word) && Object.hasOwn(options, 'since')) {
    return `A span: --since ${word === '--days' ? '7d' : '12h'}`;
  }
  return ['--color', '--colour'].includes(word) && Object.hasOwn(options, 'no-color')
    ? 'Colour comes by itself on a terminal'
    : undefined;
}
