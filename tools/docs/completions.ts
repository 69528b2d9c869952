import { commands, type Option, options } from './command-line.ts';

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

const wordsFor = (command: string): string =>
  options
    .filter((option) => option.commands.includes(command))
    .flatMap(flags)
    .join(' ');

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
${commands.map(({ name }) => `    ${name}) words='${wordsFor(name)}' ;;`).join('\n')}
    *) words='${options.flatMap(flags).join(' ')}' ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o filenames -F _lxc_autoscale lxc-autoscale
`;

/** Fit for a description in single quotes, in brackets and before a colon. */
const said = (text: string): string =>
  text
    .replace(/[[\]:\\'"`$]/g, ' ')
    .replace(/ +/g, ' ')
    .trim();

const ACTIONS = { file: ':file:_files', directory: ':directory:_files -/', other: ':value: ' };

const zshOption = (option: Option): string[] =>
  flags(option).map((flag) => {
    const action = option.value === undefined ? '' : ACTIONS[option.value];
    return `'${flag}[${said(option.says) || option.name}]${action}'`;
  });

const zshSubject = (subject: 'container' | 'file' | undefined): string[] => {
  if (subject === 'container') return ["'*:container:_lxc_autoscale_containers'"];
  return subject === 'file' ? ["'*:file:_files'"] : [];
};

const zshArguments = (command: string, subject: 'container' | 'file' | undefined): string =>
  [
    ...options.filter((option) => option.commands.includes(command)).flatMap(zshOption),
    ...zshSubject(subject),
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
  .map(
    ({ name, subject }) =>
      `    (${name})\n      _arguments \\\n        ${zshArguments(name, subject)} ;;`,
  )
  .join('\n')}
    (*)
      _arguments \\
        ${options.flatMap(zshOption).join(' \\\n        ')}
      _describe command commands ;;
  esac
}

_lxc_autoscale "$@"
`;
