import type { NodeValues } from './keys.ts';
import { readNodes } from './nodes.ts';
import type { Reader, Section } from './sections.ts';
import { type Environment, expandVariables } from './variables.ts';
import type { YamlEntry, YamlMap, YamlNode } from './yaml.ts';

/**
 * `PROXMOX_HOST` and its companions, which containers of Docker are started with. They make a node
 * of `NODES`, or stand over the one that the file has.
 */

const VARIABLES = [
  'PROXMOX_HOST',
  'PROXMOX_PORT',
  'PROXMOX_USER',
  'PROXMOX_TOKEN_NAME',
  'PROXMOX_TOKEN_VALUE',
  'PROXMOX_PASSWORD',
];
type Variable = (typeof VARIABLES)[number];
type Given = ReadonlySet<Variable>;

interface Complaint {
  readonly variable: Variable | undefined;
  /** Completes "VARIABLE: ...". */
  readonly message: string;
}

/** The nodes of the file as the environment has them. Both are checked in the same way. */
export function nodesWithEnvironment(
  file: YamlEntry | undefined,
  reader: Reader,
): readonly Section<NodeValues>[] {
  const given = givenFor(file, reader.env);
  const plain = () => readNodes(file, reader);
  if (given.size === 0) return plain();
  const far = farEntries(file, reader.env);
  const [one] = far;
  const complaint = whyNotThat(far, given, reader) ?? whyHalfALogin(one, given);
  if (complaint !== undefined) {
    const { variable, message } = complaint;
    const key = variable ?? [...given][0];
    reader.problems.push({ ...FROM_ENVIRONMENT, key, message });
    return plain();
  }
  if (one === undefined) return [...plain(), ...made(given, reader)];
  return file === undefined ? [] : readNodes(withLogin(file, one, given), reader);
}

/**
 * Those that are set and are for this program to place. What the file names by itself has its place
 * there, and only goes with the rest of a login that replaces the file's.
 */
function givenFor(file: YamlEntry | undefined, env: Environment): Given {
  const set = VARIABLES.filter((name) => (env[name] ?? '') !== '');
  const named = file === undefined ? new Set() : namedIn(file.value, new Set());
  const given = new Set(set.filter((name) => !named.has(name)));
  const needsUser = given.has('PROXMOX_TOKEN_NAME') || given.has('PROXMOX_PASSWORD');
  if (needsUser && set.includes('PROXMOX_USER')) given.add('PROXMOX_USER');
  return given;
}

/** The variables that any value within the node names. An alias makes one node stand twice. */
function namedIn(node: YamlNode, seen: Set<YamlNode>): ReadonlySet<string> {
  if (node.kind === 'text') {
    const names = node.text.matchAll(/(?<!\$)\$\{([A-Z_]+)(?=[:}])/g);
    return new Set([...names].map(([, name = '']) => name));
  }
  if (seen.has(node)) return new Set();
  seen.add(node);
  const inner =
    node.kind === 'map'
      ? node.entries.map(({ value }) => value)
      : node.kind === 'list'
        ? node.items
        : [];
  return new Set(inner.flatMap((one) => [...namedIn(one, seen)]));
}

const FROM_ENVIRONMENT = { file: 'the environment', line: undefined } as const;

/** The entries for other nodes. What is none is for `readNodes` to say. */
function farEntries(file: YamlEntry | undefined, env: Environment): readonly YamlEntry[] {
  if (file?.value.kind !== 'map') return [];
  return file.value.entries.filter(({ value }) => textAt(value, 'connection', env) !== 'local');
}

/** With its variables, as far as they are set; of a list with commas in between. */
function textAt(node: YamlNode, key: string, env: Environment): string | undefined {
  const found = node.kind === 'map' ? node.entries.find((one) => one.key === key) : undefined;
  const items = found?.value.kind === 'list' ? found.value.items : [found?.value];
  const texts = items.flatMap((one) => (one?.kind === 'text' ? [textOf(one.text, env)] : []));
  return texts.length === 0 ? undefined : texts.join(', ');
}

function textOf(text: string, env: Environment): string {
  const expanded = expandVariables(text, env);
  return (expanded.ok ? expanded.text : text).trim().toLowerCase();
}

const has = (entry: YamlEntry | undefined, key: keyof NodeValues): boolean =>
  entry?.value.kind === 'map' &&
  entry.value.entries.some((one) => one.key === key && one.value.kind === 'text');

/** Why it is not clear which node is meant, or that it can be reached so. */
function whyNotThat(
  far: readonly YamlEntry[],
  given: Given,
  { env }: Reader,
): Complaint | undefined {
  const [one, ...others] = far;
  if (one === undefined) {
    if (given.has('PROXMOX_HOST')) return undefined;
    const message = 'has no effect without PROXMOX_HOST; set that too, or unset this one';
    return { variable: undefined, message };
  }
  const names = far.map(({ key }) => key).join(', ');
  if (others.length > 0) {
    const message = `is for one node, and NODES has several (${names}); unset it`;
    return { variable: undefined, message };
  }
  const host = env['PROXMOX_HOST']?.toLowerCase();
  if (given.has('PROXMOX_HOST') && host !== textAt(one.value, 'host', env)) {
    const message =
      `is not the host of ${names}, which NODES has; unset it, or write a second node into ` +
      'NODES instead';
    return { variable: 'PROXMOX_HOST', message };
  }
  const connection = textAt(one.value, 'connection', env) ?? 'api';
  if (connection.split(',').some((one) => one.trim().toLowerCase() === 'api')) return undefined;
  const message = `is for the API, and ${names} in NODES is reached by ${connection}; unset it`;
  return { variable: undefined, message };
}

const isToken = (given: Given): boolean =>
  given.has('PROXMOX_TOKEN_NAME') || given.has('PROXMOX_TOKEN_VALUE');

/** Why nobody could log in with what is given and what the entry of the file has. */
function whyHalfALogin(one: YamlEntry | undefined, given: Given): Complaint | undefined {
  const lacks = (variable: Variable, what: string): Complaint => ({
    variable,
    message: `is not set, and ${what}; set it, or unset the others`,
  });
  const isUser = given.has('PROXMOX_USER');
  if (isToken(given) && given.has('PROXMOX_PASSWORD')) {
    const message =
      'does not go with PROXMOX_TOKEN_NAME and PROXMOX_TOKEN_VALUE; unset one of them';
    return { variable: 'PROXMOX_PASSWORD', message };
  }
  if (given.has('PROXMOX_TOKEN_NAME') && !isUser) {
    return lacks('PROXMOX_USER', 'PROXMOX_TOKEN_NAME needs it');
  }
  if (given.has('PROXMOX_TOKEN_NAME') && !given.has('PROXMOX_TOKEN_VALUE')) {
    if (!has(one, 'token_secret'))
      return lacks('PROXMOX_TOKEN_VALUE', 'PROXMOX_TOKEN_NAME needs it');
  }
  if (given.has('PROXMOX_TOKEN_VALUE') && !given.has('PROXMOX_TOKEN_NAME')) {
    if (!has(one, 'token_id')) return lacks('PROXMOX_TOKEN_NAME', 'PROXMOX_TOKEN_VALUE needs it');
  }
  if (given.has('PROXMOX_PASSWORD') && !isUser && !has(one, 'user')) {
    return lacks('PROXMOX_USER', 'PROXMOX_PASSWORD needs it');
  }
  if (isUser && !isToken(given) && !given.has('PROXMOX_PASSWORD') && !has(one, 'password')) {
    const other = 'PROXMOX_USER needs it and PROXMOX_TOKEN_NAME, or PROXMOX_PASSWORD';
    return lacks('PROXMOX_TOKEN_VALUE', other);
  }
  if (one === undefined && !isUser) return lacks('PROXMOX_USER', 'PROXMOX_HOST needs a login');
  return undefined;
}

/** As references to the variables: so no message shows a value, and none counts as in the file. */
const reference = (variable: Variable): string => `$\{${variable}}`;

function keysOf(given: Given): ReadonlyMap<keyof NodeValues, string> {
  const keys = new Map<keyof NodeValues, string>();
  if (given.has('PROXMOX_HOST')) keys.set('host', reference('PROXMOX_HOST'));
  if (given.has('PROXMOX_PORT')) keys.set('port', reference('PROXMOX_PORT'));
  if (given.has('PROXMOX_TOKEN_NAME')) {
    keys.set('token_id', `${reference('PROXMOX_USER')}!${reference('PROXMOX_TOKEN_NAME')}`);
  } else if (given.has('PROXMOX_USER')) keys.set('user', reference('PROXMOX_USER'));
  if (given.has('PROXMOX_TOKEN_VALUE')) keys.set('token_secret', reference('PROXMOX_TOKEN_VALUE'));
  if (given.has('PROXMOX_PASSWORD')) keys.set('password', reference('PROXMOX_PASSWORD'));
  return keys;
}

const nodeEntry = (
  name: string,
  line: number,
  keys: Iterable<readonly [string, string]>,
): YamlEntry => ({
  key: name,
  line,
  value: {
    kind: 'map',
    line,
    entries: [...keys].map(([key, text]) => ({ key, line, value: { kind: 'text', text, line } })),
  },
});

/** The same file with another login in its one node. */
function withLogin(file: YamlEntry, one: YamlEntry, given: Given): YamlEntry {
  const login = keysOf(given);
  const isOver = (key: string): boolean =>
    [...login.keys()].some((name) => name === key) ||
    (isToken(given) && ['user', 'password'].includes(key)) ||
    (given.has('PROXMOX_PASSWORD') && ['token_id', 'token_secret'].includes(key));
  const kept = one.value.kind === 'map' ? one.value.entries : [];
  const own = nodeEntry(one.key, one.line, login).value as YamlMap;
  const entries = [...kept.filter(({ key }) => !isOver(key)), ...own.entries];
  const changed: YamlEntry = { ...one, value: { ...own, entries } };
  const all = file.value.kind === 'map' ? file.value.entries : [];
  const nodes: YamlMap = {
    kind: 'map',
    line: file.line,
    entries: all.map((entry) => (entry === one ? changed : entry)),
  };
  return { ...file, value: nodes };
}

/** What it is called here where nothing else says it. */
const NAMES = ['proxmox', 'proxmox-api'] as const;

function made(given: Given, reader: Reader): readonly Section<NodeValues>[] {
  const [usual, other] = NAMES;
  const name = reader.self?.().name.toLowerCase() === usual ? other : usual;
  const keys = [...keysOf(given), ['node', '*'] as const];
  const value: YamlMap = { kind: 'map', line: 1, entries: [nodeEntry(name, 1, keys)] };
  const own: Reader = { ...reader, problems: [], furtherProblems: 0 };
  const sections = readNodes({ key: 'NODES', line: 1, value }, own);
  for (const { key, message } of own.problems) {
    reader.problems.push({ ...FROM_ENVIRONMENT, key: `NODES.${key}`, message });
  }
  return sections;
}
