import { type Command, commands, type Option, options, saysOf } from './command-line.ts';

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

const withSubject = (subject: 'container' | 'file'): string =>
  commands
    .filter((command) => command.subject === subject)
    .map(({ name }) => name)
    .join(' | ');

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
    ${takingValues('other')})
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
        words=$(cd /etc/pve/lxc 2>/dev/null && printf '%s\\n' *.conf | sed -n 's/\\.conf$//p')
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
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
  (text.split(/[.;:](?: |$)/)[0] ?? '')
    .slice(0, 90)
    .replace(/[[\]:\\'"`$]/g, ' ')
    .replace(/ +/g, ' ')
    .trim();

const ACTIONS = { file: ':file:_files', directory: ':directory:_files -/', other: ':value: ' };

const zshOption = (option: Option, says: string): string[] =>
  flags(option).map((flag) => {
    const action = option.value === undefined ? '' : ACTIONS[option.value];
    return `'${flag}[${said(says)}]${action}'`;
  });

const zshSubject = (subject: 'container' | 'file' | undefined): string[] => {
  if (subject === 'container') return ["'*:container:_lxc_autoscale_containers'"];
  return subject === 'file' ? ["'*:file:_files'"] : [];
};

const zshArguments = (command: Command): string =>
  [
    ...optionsOf(command).flatMap((each) => zshOption(each, command.options.get(each.name) ?? '')),
    ...zshSubject(command.subject),
  ].join(' \\\n        ');

export const zshCompletion = (): string => `\
#compdef lxc-autoscale
# Completion of lxc-autoscale for zsh, made of its help.

_lxc_autoscale_containers() {
  local -a ids
  ids=(/etc/pve/lxc/*.conf(N:t:r))
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
