import { TESTED_CHANNELS } from '../../src/cli/channels.ts';
import {
  type Command,
  commands,
  type Option,
  options,
  type Subject,
  saysOf,
  WORDS,
} from './command-line.ts';

/** Completions for bash and zsh, made of the commands and options of the program. */

const flags = (option: Option): string[] => [
  `--${option.name}`,
  ...(option.short === undefined ? [] : [`-${option.short}`]),
];

const takingValues = (kind: Option['value']): string =>
  options
    .filter(({ value }) => value === kind)
    .map(({ name }) => `--${name}`)
    .join(' | ');

const optionsOf = (command: Command): readonly Option[] =>
  options.filter(({ name }) => command.options.has(name));

const wordsFor = (command: Command): string => optionsOf(command).flatMap(flags).join(' ');

const withSubject = (subject: Subject): string =>
  commands
    .filter((command) => command.subject === subject)
    .map(({ name }) => name)
    .join(' | ');

/** The options that take one of a few words. */
const wordCases = (): string =>
  Object.entries(WORDS)
    .map(([name, words]) => {
      const list = `mapfile -t COMPREPLY < <(compgen -W "${words.join(' ')}" -- "$word")`;
      return `    --${name})\n      ${list}\n      return ;;\n`;
    })
    .join('');

/** For sed: an id, and the name of a guest, which others write. */
const ID = '\\([0-9]*\\)';
const NAME = '\\([A-Za-z0-9.-]*\\)';

/** Without `_init_completion`, so that it works where the package bash-completion is not there. */
export const bashCompletion = (): string => `\
# Completion of lxc-autoscale for bash, made of its help.
_lxc_autoscale() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]}
  local command='' i words
  COMPREPLY=()
  case $before in
    ${takingValues('file')})
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      return ;;
    ${takingValues('directory')})
      mapfile -t COMPREPLY < <(compgen -d -- "$word")
      return ;;
${wordCases()}    ${takingValues('other')})
      return ;;
  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
      ${commands.map(({ name }) => name).join(' | ')})
        command=\${COMP_WORDS[i]}
        break ;;
    esac
  done
  if [[ $word != -* ]]; then
    case $command in
      '')
        words='${commands.map(({ name }) => name).join(' ')}'
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
        return ;;
      ${withSubject('container')})
        # bash expands these words once more: nothing but what a name is made of may be in them.
        words=$(cd /etc/pve 2>/dev/null &&
          printf '%s\\n' lxc/*.conf qemu-server/*.conf | sed -n 's/^[a-z-]*\\/${ID}\\.conf$/\\1/p'
          sed -n 's/^\\(host\\)*name: ${NAME}$/\\2/p' /etc/pve/{lxc,qemu-server}/*.conf 2>/dev/null)
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
        return ;;
      ${withSubject('channel')})
        mapfile -t COMPREPLY < <(compgen -W "${TESTED_CHANNELS.join(' ')}" -- "$word")
        return ;;
      ${withSubject('file')})
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return ;;
    esac
  fi
  case $command in
${commands.map((each) => `    ${each.name}) words='${wordsFor(each)}' ;;`).join('\n')}
    *) words='${options.flatMap(flags).join(' ')}' ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o filenames -F _lxc_autoscale lxc-autoscale
`;

/** Fit for a description in single quotes, in brackets and before a colon: one sentence of it. */
const said = (text: string): string =>
  (text.replace(/ \([^)]*\)/g, '').split(/[.;:](?: |$)/)[0] ?? '')
    .replace(/^(.{80,89}) .*$/, '$1')
    .replace(/[[\]:\\'"`$]/g, ' ')
    .replace(/ +/g, ' ')
    .trim();

const ACTIONS = {
  words: '',
  file: ':file:_files',
  directory: ':directory:_files -/',
  other: ':value: ',
};

const zshOption = (option: Option, says: string): string[] =>
  flags(option).map((flag) => {
    const words = WORDS[option.name];
    if (words !== undefined) return `'${flag}[${said(says)}]:value:(${words.join(' ')})'`;
    const action = option.value === undefined ? '' : ACTIONS[option.value];
    return `'${flag}[${said(says)}]${action}'`;
  });

const zshSubject = (subject: Subject | undefined): string[] => {
  if (subject === 'channel') return [`'*:channel:(${TESTED_CHANNELS.join(' ')})'`];
  if (subject === 'container') return ["'*:container:_lxc_autoscale_containers'"];
  return subject === 'file' ? ["'*:file:_files'"] : [];
};

/** The command itself is the first word that is no option: without it zsh completes no more. */
const zshArguments = (command: Command): string =>
  [
    "'1: : '",
    ...optionsOf(command).flatMap((each) => zshOption(each, command.options.get(each.name) ?? '')),
    ...zshSubject(command.subject),
  ].join(' \\\n        ');

export const zshCompletion = (): string => `\
#compdef lxc-autoscale
# Completion of lxc-autoscale for zsh, made of its help.

_lxc_autoscale_containers() {
  local -a ids
  local -a files
  files=(/etc/pve/{lxc,qemu-server}/*.conf(N))
  ids=(\${files:t:r})
  local named='s/^\\(host\\)*name: ${NAME}$/\\2/p'
  ids+=(\${(f)"$(sed -n $named $files </dev/null 2>/dev/null)"})
  compadd -- $ids
}

_lxc_autoscale() {
  local -a commands
  local command=''
  local word
  commands=(
${commands.map(({ name, says }) => `    '${name}:${said(says)}'`).join('\n')}
  )
  for word in $words[2,CURRENT-1]; do
    case $word in
      (${commands.map(({ name }) => name).join('|')})
        command=$word
        break ;;
    esac
  done
  case $command in
${commands
  .map((each) => `    (${each.name})\n      _arguments \\\n        ${zshArguments(each)} ;;`)
  .join('\n')}
    (*)
      _arguments \\
        ${options.flatMap((each) => zshOption(each, saysOf(each.name))).join(' \\\n        ')}
      _describe command commands ;;
  esac
}

_lxc_autoscale "$@"
`;
