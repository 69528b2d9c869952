import { isBuiltin } from 'node:module';
import { posix } from 'node:path';
import ts from 'typescript';

/** The rules of the house, each as a pure function from files to complaints. */

export interface SourceText {
  /** From the top of the repository: `src/core/units.ts`. */
  readonly path: string;
  readonly text: string;
}

/** A parsed TypeScript file. */
export interface Module extends SourceText {
  readonly ast: ts.SourceFile;
  readonly imports: readonly Import[];
}

interface Import {
  readonly specifier: string;
  readonly line: number;
  /** The path of a file of ours, or undefined for a builtin and a package. */
  readonly file: string | undefined;
  /** The name of a package, or undefined for a builtin and a file of ours. */
  readonly packageName: string | undefined;
}

/** `path:line: what is wrong`. */
type Complaint = string;

export function parse(path: string, text: string): Module {
  const ast = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
  return { path, text, ast, imports: importsOf(path, ast) };
}

function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => walk(child, visit));
}

const lineOf = (ast: ts.SourceFile, position: number): number =>
  ast.getLineAndCharacterOfPosition(position).line + 1;

/** Complains about each node for which `wrong` has something to say. */
function complainAbout(
  module: Module,
  wrong: (node: ts.Node) => string | undefined,
): readonly Complaint[] {
  const found: Complaint[] = [];
  walk(module.ast, (node) => {
    const what = wrong(node);
    if (what === undefined) return;
    found.push(`${module.path}:${lineOf(module.ast, node.getStart())}: ${what}`);
  });
  return found;
}

function importsOf(path: string, ast: ts.SourceFile): readonly Import[] {
  const found: Import[] = [];
  walk(ast, (node) => {
    const literal = importedLiteral(node);
    if (literal === undefined) return;
    const specifier = literal.text;
    const relative = specifier.startsWith('.');
    const file = relative ? posix.join(posix.dirname(path), specifier) : undefined;
    const packageName = relative || isBuiltin(specifier) ? undefined : packageOf(specifier);
    found.push({ specifier, file, packageName, line: lineOf(ast, literal.getStart()) });
  });
  return found;
}

/** The module that a node names, be it by import, export from, import() or an import type. */
function importedLiteral(node: ts.Node): ts.StringLiteralLike | undefined {
  let named: ts.Node | undefined;
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) named = node.moduleSpecifier;
  else if (ts.isCallExpression(node) && isImportCall(node)) named = node.arguments[0];
  else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
    named = node.argument.literal;
  }
  return named !== undefined && ts.isStringLiteralLike(named) ? named : undefined;
}

const isImportCall = (call: ts.CallExpression): boolean =>
  call.expression.kind === ts.SyntaxKind.ImportKeyword || call.expression.getText() === 'require';

const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');

/** What a room of `src` may import of ours besides itself. */
interface Room {
  /** Paths under `src/`: a directory with its slash, or a file. */
  readonly may: readonly string[];
  readonly builtins: boolean;
  readonly packages: boolean;
}

/** What is known of the world by its shape alone. */
const PORTS = ['core/', 'node/port.ts', 'ports.ts'];

/** A backend: behind the seam, beside what all kinds of it share. */
const BACKEND_MAY = ['core/', 'node/port.ts', 'node/pct-words.ts', 'node/guests/', 'os/'];

/** Whatever the daemon is put together from; commands know the daemon, it knows no command. */
const APP_MAY = [
  'core/',
  'node/',
  'ports.ts',
  'loop/',
  'groups/',
  'config/',
  'os/',
  'store/',
  'output/',
  'notify/',
  'package.json',
];

export const ROOMS: Readonly<Record<string, Room>> = {
  'core/': { may: [], builtins: false, packages: false },
  'node/': { may: ['core/'], builtins: false, packages: false },
  'node/guests/': {
    may: ['core/', 'node/port.ts', 'os/json-object.ts'],
    builtins: true,
    packages: false,
  },
  'node/local/': { may: BACKEND_MAY, builtins: true, packages: false },
  'node/api/': { may: BACKEND_MAY, builtins: true, packages: true },
  'node/ssh/': { may: BACKEND_MAY, builtins: true, packages: false },
  'ports.ts': { may: ['core/', 'node/port.ts'], builtins: false, packages: false },
  'loop/': { may: PORTS, builtins: false, packages: false },
  'groups/': { may: [...PORTS, 'loop/'], builtins: false, packages: false },
  'config/': { may: ['core/'], builtins: true, packages: true },
  'os/': { may: ['core/'], builtins: true, packages: true },
  'store/': { may: [...PORTS, 'node/guests/', 'os/'], builtins: true, packages: true },
  'output/': { may: [...PORTS, 'os/'], builtins: true, packages: true },
  'notify/': { may: [...PORTS, 'os/'], builtins: true, packages: true },
  'app/': { may: [...APP_MAY, 'app/http/'], builtins: true, packages: false },
  'app/http/': { may: [...APP_MAY, 'app/', 'lab/'], builtins: true, packages: true },
  'lab/': { may: ['core/'], builtins: false, packages: false },
  'sim/': { may: ['core/', 'node/', 'ports.ts'], builtins: true, packages: false },
  'web/': { may: ['core/'], builtins: false, packages: true },
  'version.ts': { may: ['package.json'], builtins: false, packages: false },
  'cli/': { may: [''], builtins: true, packages: true },
  'main.ts': { may: [''], builtins: true, packages: true },
};

/** The narrowest room that a file is in; its place itself if that is no room. */
function roomOf(path: string): string {
  const place = path.replace(/^src\//, '');
  const rooms = Object.keys(ROOMS).filter((room) => place.startsWith(room));
  const narrowest = rooms.sort((a, b) => b.length - a.length)[0];
  return narrowest ?? place.replace(/\/.*/, '/');
}

/** Only what a room may see is imported by it, and only by a path that names the file. */
export function directions(modules: readonly Module[]): readonly Complaint[] {
  return modules.flatMap((module) => {
    const name = roomOf(module.path);
    const room = ROOMS[name];
    if (room === undefined) return [`${module.path}:1: ${name} is no room of src`];
    return module.imports.flatMap((one) => {
      const what = whyNotAllowed(name, room, one);
      return what === undefined ? [] : [`${module.path}:${one.line}: ${what}`];
    });
  });
}

function whyNotAllowed(name: string, room: Room, one: Import): string | undefined {
  const refused = `${name} may not import ${one.specifier}`;
  if (one.packageName !== undefined) return room.packages ? undefined : refused;
  if (one.file === undefined) return room.builtins ? undefined : refused;
  if (!/\.(tsx?|json)$/.test(one.specifier)) return `${one.specifier} lacks its extension`;
  const target = one.file.replace(/^src\//, '');
  const allowed = roomOf(one.file) === name || room.may.some((place) => target.startsWith(place));
  return allowed ? undefined : refused;
}

/**
 * What in `node/local/` is there for the others of the room: paths, the inventory of guests, and
 * parsers, which are named after the file or the form that they read.
 */
const SHARED_IN_LOCAL = [/^(paths|pve-inventory)$/, /-(files?|values|numbers|list)$/];

const baseName = (path: string): string => posix.basename(path, '.ts');
/** `cgroup-files` and `cgroup-descriptors` are one thing outside in two files. */
const family = (path: string): string => baseName(path).replace(/-.*/, '');

/** No file leads back to itself by its imports, those of types included. */
export function noCircles(modules: readonly Module[]): readonly Complaint[] {
  const imported = new Map(
    modules.map(({ path, imports }) => [path, imports.flatMap(({ file }) => file ?? [])]),
  );
  const done = new Set<string>();
  const found: Complaint[] = [];
  const follow = (path: string, way: readonly string[]): void => {
    const at = way.indexOf(path);
    if (at >= 0) found.push([...way.slice(at), path].join(' -> '));
    if (at >= 0 || done.has(path)) return;
    for (const next of imported.get(path) ?? []) follow(next, [...way, path]);
    done.add(path);
  };
  for (const path of imported.keys()) follow(path, []);
  return found;
}

/** A thing outside the process has a file of its own, that the file of no other thing leans on. */
export function localFilesApart(modules: readonly Module[]): readonly Complaint[] {
  return modules
    .filter((module) => module.path.startsWith('src/node/local/'))
    .flatMap((module) =>
      module.imports.flatMap(({ file, line, specifier }) => {
        if (file === undefined || !file.startsWith('src/node/local/')) return [];
        const isShared = SHARED_IN_LOCAL.some((names) => names.test(baseName(file)));
        if (isShared || family(file) === family(module.path)) return [];
        return [`${module.path}:${line}: a file of node/local/ may not import ${specifier}`];
      }),
    );
}

/** A schema stands beside what it describes, and each view of the page is made of components. */
const KNOWN_IN_MANY: ReadonlySet<string> = new Set(['zod', 'preact']);

/** Each other package has one file that knows it. */
export function onePackageOneFile(modules: readonly Module[]): readonly Complaint[] {
  const firstUser = new Map<string, string>();
  return modules.flatMap((module) =>
    module.imports.flatMap(({ packageName, line }) => {
      if (packageName === undefined || KNOWN_IN_MANY.has(packageName)) return [];
      const first = firstUser.get(packageName) ?? module.path;
      firstUser.set(packageName, first);
      if (first === module.path) return [];
      return [`${module.path}:${line}: ${packageName} is already imported by ${first}`];
    }),
  );
}

/** Properties are tried with the inputs of one seed, which `test/fast-check.ts` sets. */
export const unseeded = (modules: readonly Module[]): readonly Complaint[] =>
  modules
    .filter(({ path }) => path !== 'test/fast-check.ts')
    .flatMap(({ path, imports }) =>
      imports.flatMap(({ packageName, line }) =>
        packageName === 'fast-check' ? [`${path}:${line}: take fc from test/fast-check.ts`] : [],
      ),
    );

/** No file only passes on what others export. */
export function noBarrels(modules: readonly Module[]): readonly Complaint[] {
  const isPassing = (node: ts.Statement): boolean =>
    ts.isImportDeclaration(node) || ts.isExportDeclaration(node);
  return modules
    .filter(({ ast }) => ast.statements.some(ts.isExportDeclaration))
    .filter(({ ast }) => ast.statements.every(isPassing))
    .map(({ path }) => `${path}:1: the file only re-exports`);
}

/** No name that could stand for anything. */
export function tellingNames(paths: readonly string[]): readonly Complaint[] {
  const vague = /(^|[/_.-])(utils?|helpers?|common|misc)([/_.-]|$)/i;
  return paths.filter((path) => vague.test(path)).map((path) => `${path}:1: a vague name`);
}

const MAX_COLUMNS = 100;

export function shortLines(files: readonly SourceText[]): readonly Complaint[] {
  return files.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, index) => {
      const columns = [...line].length;
      return columns > MAX_COLUMNS ? [`${path}:${index + 1}: ${columns} columns`] : [];
    }),
  );
}

const MAX_STATEMENTS = 60;

/** By its statements, those of functions in it too. A `describe` is a chapter of tests. */
export function shortFunctions(modules: readonly Module[]): readonly Complaint[] {
  return modules.flatMap((module) =>
    complainAbout(module, (node) => {
      if (!ts.isFunctionLike(node) || isDescribed(node)) return undefined;
      const count = statementsIn(node);
      return count > MAX_STATEMENTS ? `a function of ${count} statements` : undefined;
    }),
  );
}

function statementsIn(node: ts.Node): number {
  let count = 0;
  ts.forEachChild(node, (child) => {
    count += statementsIn(child) + (ts.isStatement(child) && !ts.isBlock(child) ? 1 : 0);
  });
  return count;
}

/** Spread literals only save lines: their parts stand for themselves. */
export function noSpreadLiterals(modules: readonly Module[]): readonly Complaint[] {
  return modules.flatMap((module) =>
    complainAbout(module, (node) => {
      if (!ts.isSpreadAssignment(node) && !ts.isSpreadElement(node)) return undefined;
      const spread = plain(node.expression);
      const isLiteral = ts.isSpreadAssignment(node)
        ? ts.isObjectLiteralExpression(spread)
        : ts.isArrayLiteralExpression(spread) && ts.isArrayLiteralExpression(node.parent);
      return isLiteral ? 'a literal is spread into another' : undefined;
    }),
  );
}

function plain(expression: ts.Expression): ts.Expression {
  if (ts.isParenthesizedExpression(expression)) return plain(expression.expression);
  const isConst = ts.isAsExpression(expression) && expression.type.getText() === 'const';
  return isConst ? plain(expression.expression) : expression;
}

const isDescribed = ({ parent }: ts.Node): boolean =>
  parent !== undefined &&
  ts.isCallExpression(parent) &&
  /^describe\b/.test(parent.expression.getText());

/** Where something of the outside world may be touched directly: paths under `src/`. */
interface Restricted {
  readonly what: string;
  readonly only: readonly string[];
  readonly matches: (node: ts.Node) => boolean;
}

const isMember =
  (...names: readonly string[]) =>
  (node: ts.Node): boolean =>
    ts.isPropertyAccessExpression(node) && names.includes(node.getText().replaceAll('?.', '.'));

const isGlobal =
  (...names: readonly string[]) =>
  (node: ts.Node): boolean =>
    ts.isIdentifier(node) && names.includes(node.text) && !isOnlyAName(node);

/** `a.console`, `{ console: 1 }` or `interface A { console: B }` do not speak of the global. */
function isOnlyAName(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node;
  if (ts.isBindingElement(parent)) return parent.propertyName === node;
  const isNamed = ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent);
  return isNamed && parent.name === node;
}

const isNow = (node: ts.Node): boolean =>
  isMember('Date.now')(node) ||
  (ts.isNewExpression(node) || ts.isCallExpression(node)
    ? node.expression.getText() === 'Date' && (node.arguments ?? []).length === 0
    : false);

const WITH_A_CLOCK = ['main.ts', 'app/', 'cli/', 'sim/', 'web/'];

const RESTRICTED: readonly Restricted[] = [
  { what: 'asks for the time', only: WITH_A_CLOCK, matches: isNow },
  {
    what: 'asks for the monotonic time',
    only: WITH_A_CLOCK,
    matches: isMember('performance.now', 'process.hrtime', 'process.uptime'),
  },
  { what: 'ends the process', only: ['main.ts'], matches: isMember('process.exit') },
  { what: 'uses console', only: [], matches: isGlobal('console') },
  { what: 'rolls dice', only: [], matches: isMember('Math.random') },
  {
    what: 'touches the world',
    only: WITH_A_CLOCK.concat(
      ...['config/', 'node/local/', 'node/ssh/', 'os/', 'store/', 'output/', 'notify/'],
    ),
    matches: isGlobal('process', 'globalThis', 'setTimeout', 'setInterval', 'fetch', 'performance'),
  },
];

/** Time, chance, output and the end of the process are at home in few files. */
export function restrictedTouches(modules: readonly Module[]): readonly Complaint[] {
  return modules.flatMap((module) =>
    RESTRICTED.filter(
      ({ only }) => !only.some((place) => module.path.startsWith(`src/${place}`)),
    ).flatMap(({ what, matches }) =>
      complainAbout(module, (node) => (matches(node) ? what : undefined)),
    ),
  );
}

/** A thing is known by one name everywhere. */
export function noDefaultExports(modules: readonly Module[]): readonly Complaint[] {
  const isDefault = (node: ts.Node): boolean =>
    ts.isExportAssignment(node) ||
    node.kind === ts.SyntaxKind.DefaultKeyword ||
    (ts.isExportSpecifier(node) && node.name.text === 'default');
  return modules.flatMap((module) =>
    complainAbout(module, (node) => (isDefault(node) ? 'a default export' : undefined)),
  );
}

/** No test is left out for good, and none leaves the others out. */
export function noTestLeftOut(modules: readonly Module[]): readonly Complaint[] {
  const leavesOut = /^(describe|it|test)\.(.*\.)?(only|skip|todo)$/;
  return modules.flatMap((module) =>
    complainAbout(module, (node) =>
      ts.isPropertyAccessExpression(node) && leavesOut.test(node.getText())
        ? `${node.getText()} leaves a test out`
        : undefined,
    ),
  );
}

// Each pattern is put together, so that this file does not complain about itself.
const UNFINISHED = new RegExp(`\\b(TO${'DO'}|FIX${'ME'}|X${'XX'})\\b`);
const MACHINE = new RegExp(`(?<![\\w.~-])/(wo${'rk'}|ro${'ot'}|ho${'me'})(?![\\w-])`);
const REGISTRY = new RegExp(`\\bregistry[.]${'[a-z]'}|_auth${'Token'}`);

export const noUnfinishedWork = (files: readonly SourceText[]): readonly Complaint[] =>
  matching(files, UNFINISHED, 'says that it is not finished');

/** The repository knows nothing of the machine that it was written on. */
export const noMachinePaths = (files: readonly SourceText[]): readonly Complaint[] =>
  matching(files, MACHINE, 'names a path of a machine');

export const noRegistries = (files: readonly SourceText[]): readonly Complaint[] =>
  matching(files, REGISTRY, 'names a package registry');

function matching(
  files: readonly SourceText[],
  pattern: RegExp,
  what: string,
): readonly Complaint[] {
  return files.flatMap(({ path, text }) =>
    text
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${what}`] : [])),
  );
}
