/** The help text of the program taken apart, for the manual page and the completions. */

export interface HelpItem {
  /** `--config FILE`, `explain VMID`. */
  readonly head: string;
  /** One paragraph; empty where the head says all. */
  readonly text: string;
}

export interface HelpSection {
  /** `Commands`, `Options of demo`. */
  readonly title: string;
  readonly items: readonly HelpItem[];
}

export interface Help {
  /** The first paragraph. */
  readonly intro: string;
  readonly usage: string;
  readonly sections: readonly HelpSection[];
  /** `0 fine`, `1 failure`, ... */
  readonly exitCodes: readonly string[];
}

/** Reads the help. Throws where a line does not have the form that this file knows. */
export function readHelp(text: string): Help {
  const [intro = '', usageBlock = '', ...blocks] = text.trim().split(/\n\n/);
  const usage = /^Usage: (.*)$/.exec(usageBlock)?.[1];
  const last = blocks.pop() ?? '';
  const codes = /^Exit codes: ([\s\S]*)\.$/.exec(last)?.[1];
  if (usage === undefined || codes === undefined) throw new Error('the help has another form');
  return {
    ...{ intro, usage },
    sections: blocks.map(readSection),
    exitCodes: codes.split(/,\s+/),
  };
}

function readSection(block: string): HelpSection {
  const [first = '', ...lines] = block.split('\n');
  const title = /^(.*):$/.exec(first)?.[1];
  if (title === undefined) throw new Error(`no title of a section: ${first}`);
  const items: { head: string; text: string }[] = [];
  for (const line of lines) {
    const head = /^ {2}(\S.*?)(?: {2,}(\S.*))?$/.exec(line);
    const more = /^ {3,}(\S.*)$/.exec(line)?.[1];
    const open = items.at(-1);
    if (head?.[1] !== undefined) items.push({ head: head[1], text: head[2] ?? '' });
    else if (more !== undefined && open !== undefined) open.text = `${open.text} ${more}`.trim();
    else throw new Error(`no line of the help: ${line}`);
  }
  return { title, items };
}

/** What stands for the value of an option: `FILE` of `--config FILE`. */
export function valueNames(help: Help): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const { head } of help.sections.flatMap(({ items }) => items)) {
    const found = /^--([a-z][a-z_-]*) ([A-Z]+)/.exec(head);
    if (found?.[1] !== undefined && found[2] !== undefined) names.set(found[1], found[2]);
  }
  return names;
}

/** What the help says of an option, up to its first full stop or semicolon. */
export function textOfOption(help: Help, option: string): string {
  const pattern = new RegExp(`(?:^|, )--${option}(?![a-z_-])`);
  const items = help.sections.flatMap((section) => section.items);
  const text = items.find(({ head }) => pattern.test(head))?.text ?? '';
  return shortened(text);
}

/** What the help says of a command. */
export function textOfCommand(help: Help, command: string): string {
  const items = help.sections.find(({ title }) => title === 'Commands')?.items ?? [];
  return shortened(items.find(({ head }) => head.split(' ')[0] === command)?.text ?? '');
}

const shortened = (text: string): string => (text.split(/[.;](?: |$)/)[0] ?? '').slice(0, 90);
