import type { State } from 'js-yaml';
import { FAILSAFE_SCHEMA, loadAll, YAMLException } from 'js-yaml';

/**
 * YAML text as a tree in which every key and list item knows its line. All scalars stay text:
 * what `True`, `0100` or `'80'` mean is for the schema to say, key by key.
 */

export type YamlNode = YamlText | YamlNull | YamlList | YamlMap;

interface At {
  /** 1-based. */
  readonly line: number;
}
export interface YamlText extends At {
  readonly kind: 'text';
  readonly text: string;
}
export interface YamlNull extends At {
  readonly kind: 'null';
}
export interface YamlList extends At {
  readonly kind: 'list';
  readonly items: readonly YamlNode[];
}
export interface YamlMap extends At {
  readonly kind: 'map';
  readonly entries: readonly YamlEntry[];
}
export interface YamlEntry extends At {
  readonly key: string;
  readonly value: YamlNode;
}

export type YamlResult =
  | { readonly ok: true; readonly root: YamlNode | undefined }
  | { readonly ok: false; readonly line: number | undefined; readonly message: string };

/** A node while it is being read: where it began, what it came to, what was read within it. */
interface Frame {
  readonly line: number;
  readonly children: Frame[];
  result: unknown;
  node: YamlNode | undefined;
}

/**
 * Keys and values together. A configuration has some hundred; what has more is another file, and
 * its tree would not fit into the memory that the daemon allows itself.
 */
const MAX_NODES = 20_000;

/** Thrown through the parser, which has no other way to be stopped. */
class Stop extends Error {
  constructor(
    message: string,
    readonly line: number | undefined,
  ) {
    super(message);
  }
}

/**
 * True where something follows a closing quote or bracket in its line. The parser takes it for a
 * new key if the quote was opened in a line above, and its name could be half of a password.
 */
function isGlued({ input, position, lineStart }: State): boolean {
  let before = position - 1;
  while (before >= lineStart && (input[before] === ' ' || input[before] === '\t')) before--;
  return before >= lineStart && /["'\]}]/.test(input[before] ?? '');
}

/** A form of YAML that is legal and that no configuration needs, e.g. `? key`. */
const TOO_CLEVER = 'this form of YAML is not supported here; write plain `key: value` lines';

const A_TAG = "a tag has no blank behind its colon, or stands in quotes; write 'tag:NAME'";

/**
 * Parses the text. Duplicate keys are kept, for the caller to name them with their lines. Messages
 * never quote the text, since it may hold a password.
 */
export function parseYaml(text: string): YamlResult {
  const top: Frame = { line: 1, children: [], result: undefined, node: undefined };
  const open: Frame[] = [top];
  const known = new Map<object, YamlNode>();
  let nodes = 0;
  const listener = (event: 'open' | 'close', state: State): void => {
    if (event === 'open') {
      nodes++;
      if (nodes > MAX_NODES) {
        const message = `holds more than ${MAX_NODES} keys and values, so it is no configuration`;
        throw new Stop(message, undefined);
      }
      if (isGlued(state)) {
        const message = 'something follows a closing quotation mark or bracket; check the quotes';
        throw new Stop(message, state.line + 1);
      }
      const frame = { line: state.line + 1, children: [], result: undefined, node: undefined };
      open.at(-1)?.children.push(frame);
      open.push(frame);
      return;
    }
    const frame = open.pop();
    if (frame === undefined) return;
    frame.result = state.result;
    frame.node = toNode(frame, known);
    if (frame.node !== undefined && typeof state.result === 'object' && state.result !== null) {
      known.set(state.result, frame.node);
    }
  };
  try {
    // `json` lets duplicate keys pass: they are reported later, all of them.
    loadAll(text, undefined, { schema: FAILSAFE_SCHEMA, json: true, listener });
  } catch (error) {
    if (error instanceof Stop) return { ok: false, line: error.line, message: error.message };
    if (!(error instanceof YAMLException)) {
      return { ok: false, line: undefined, message: plainSentence('') };
    }
    if (INI_FILE.test(text)) return { ok: false, line: undefined, message: AN_INI_FILE };
    const bracketed = BRACKETED.exec(text)?.[1];
    if (bracketed !== undefined) {
      return { ok: false, line: bracketed.split('\n').length, message: A_BRACKETED_SECTION };
    }
    return withComment(syntaxError(error, open.at(-1)?.line), text);
  }
  return oneDocument(top.children, text);
}

/** Its first line that is neither blank nor a comment is `[a section]`, and a key follows. */
const BLANKS = '(?:[ \\t]*(?:[#;].*)?\\r?\\n)*';
const INI_FILE = new RegExp(`^${BLANKS}\\[\\w[\\w .-]*\\][ \\t]*\\r?\\n${BLANKS}\\w+[ \\t]*=`);
const AN_INI_FILE =
  'this looks like the INI file of the Python daemon; convert it: ' +
  'lxc-autoscale migrate-config FILE --out NEW_FILE';
/** The same, and then a key as YAML has it. */
const BRACKETED = new RegExp(`^(${BLANKS})\\[\\w[\\w .-]*\\][ \\t]*\\r?\\n${BLANKS}[ \\t]*\\w+:`);
const A_BRACKETED_SECTION =
  'a section is in brackets; write its name and a colon, as in `DEFAULT:`';

/** The 1-based line of the text. */
const lineAt = (text: string, line: number | undefined): string =>
  line === undefined ? '' : (text.split('\n', line)[line - 1] ?? '');

/** What other files begin a comment with, which the parser takes for text. */
function withComment(result: YamlResult, text: string): YamlResult {
  if (result.ok || result.line === undefined) return result;
  const near = [result.line, result.line - 1].find((line) =>
    /^[ \t]*(?:;|\/\/)/.test(lineAt(text, line)),
  );
  const message = 'a comment begins with #; change the beginning of this line';
  return near === undefined ? result : { ok: false, line: near, message };
}

function oneDocument(documents: readonly Frame[], text: string): YamlResult {
  const filled = documents.filter((frame) => frame.node?.kind !== 'null');
  const second = filled[1];
  if (second !== undefined) {
    const message =
      'a second document begins here; a configuration is one document, remove the `---` above';
    return { ok: false, line: second.line, message };
  }
  const first = filled[0];
  if (first === undefined) return { ok: true, root: undefined };
  if (first.node === undefined) {
    const { line } = culprit(first);
    const hasTag = /[[,] *tag: /.test(lineAt(text, line));
    return { ok: false, line, message: hasTag ? A_TAG : TOO_CLEVER };
  }
  return { ok: true, root: first.node };
}

/** The innermost frame that could not be made a node: the place to point at. */
function culprit(frame: Frame): Frame {
  const inner = frame.children.find((child) => child.node === undefined);
  return inner === undefined ? frame : culprit(inner);
}

/** undefined if the frames do not account for the value: an exotic form. */
function toNode(frame: Frame, known: ReadonlyMap<object, YamlNode>): YamlNode | undefined {
  const { line, result, children } = frame;
  if (typeof result === 'string') return { kind: 'text', line, text: result };
  if (typeof result !== 'object' || result === null) return { kind: 'null', line };
  // The parser reads a node first as if it were a key, and keeps what it read if it is none.
  const same = children.length === 1 ? children[0] : undefined;
  if (same !== undefined && same.result === result) return same.node;
  const aliased = known.get(result);
  if (aliased !== undefined) return aliased;
  if (Array.isArray(result)) return toList(line, result, children);
  return toMap(line, result, children);
}

function toList(
  line: number,
  values: readonly unknown[],
  children: readonly Frame[],
): YamlList | undefined {
  const items: YamlNode[] = [];
  let next = 0;
  for (const value of values) {
    const child = children[next];
    if (child !== undefined && child.result === value) {
      if (child.node === undefined) return undefined;
      items.push(child.node);
      next++;
    } else if (value === null) {
      // A bare `-`: the parser makes it null without reading a node.
      items.push({ kind: 'null', line: items.at(-1)?.line ?? line });
    } else {
      return undefined;
    }
  }
  return next === children.length ? { kind: 'list', line, items } : undefined;
}

function toMap(line: number, value: object, children: readonly Frame[]): YamlMap | undefined {
  const entries: YamlEntry[] = [];
  const last = new Map<string, unknown>();
  for (let index = 0; index + 1 < children.length; index += 2) {
    const [key, held] = [children[index], children[index + 1]];
    if (typeof key?.result !== 'string' || held?.node === undefined) return undefined;
    entries.push({ key: key.result, line: key.line, value: held.node });
    last.set(key.result, held.result);
  }
  // An odd one at the end is the attempt to read a key where the mapping was over.
  if (children.length % 2 === 1 && children.at(-1)?.result !== null) return undefined;
  const own = Object.entries(value);
  const accounted = own.length === last.size && own.every(([key, held]) => last.get(key) === held);
  return accounted ? { kind: 'map', line, entries } : undefined;
}

function syntaxError(error: YAMLException, lineOfOpenNode: number | undefined): YamlResult {
  const reason = String(error.reason);
  const mark: { readonly line?: number } | undefined = error.mark;
  // An unclosed quote or bracket fails at the end of the file, and a tag (`!x`) behind the value;
  // what helps is where it began.
  const opened = /unexpected end of the (stream|document) within|\btag\b/.test(reason);
  const failedAt = mark?.line === undefined ? undefined : mark.line + 1;
  const line = opened ? (lineOfOpenNode ?? failedAt) : failedAt;
  return { ok: false, line, message: plainSentence(reason) };
}

/** What the parser's reasons mean to an admin. The first that matches counts. */
const SENTENCES: readonly (readonly [RegExp, string])[] = [
  [/^tab characters/, 'a tab is used for indentation; use spaces'],
  [/within a flow collection/, 'a bracket or brace is opened here and never closed'],
  [/within a (single|double) quoted/, 'a quotation mark is opened here and never closed'],
  [/^missed comma/, 'a comma is missing in the brackets, or a bracket above is not closed; add it'],
  [/found ','/, 'there is a comma too many in the brackets'],
  [/whitespace character is expected after the key/, 'a blank is missing after the colon'],
  [
    /colon is missed|multiline key/,
    'a line without `key: value`; check for a missing colon, or a blank missing after it',
  ],
  [
    /^bad indentation/,
    'this does not fit the lines above: keys of one section start in the same column, a blank ' +
      'follows each colon, a value with `: ` in it or @ or % before it stands in quotes',
  ],
  [/alias/, 'a value that begins with * is a reference in YAML; put it in quotes'],
  [/anchor/, 'a value that begins with & is a label in YAML; put it in quotes'],
  [/\btag\b|TAG/, 'a value that begins with ! is a type in YAML; put it in quotes'],
  [/escape|hexadecimal/, 'a backslash in double quotes begins a code; use single quotes'],
  [/non-printable/, 'a control character stands in the text; remove it'],
  [/nesting exceeded/, 'lists and sections are nested too deeply'],
  [
    /block scalar|chomping|indentation width/,
    'the text block that begins with | or > is malformed',
  ],
];

function plainSentence(reason: string): string {
  const found = SENTENCES.find(([pattern]) => pattern.test(reason));
  const general =
    'this cannot be read as YAML; check indentation, colons and quotes here and in the line above';
  return found === undefined ? general : found[1];
}
