import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  directions,
  localFilesApart,
  type Module,
  noBarrels,
  noCircles,
  noDefaultExports,
  noMachinePaths,
  noRegistries,
  noSpreadLiterals,
  noTestLeftOut,
  noUnfinishedWork,
  onePackageOneFile,
  parse,
  restrictedTouches,
  type SourceText,
  shortFunctions,
  shortLines,
  tellingNames,
  unseeded,
} from './tidy-rules.ts';

const checkout = new URL('..', import.meta.url).pathname;
const NOT_OURS = new Set(['.git', 'node_modules', 'dist', 'coverage']);

/** What is in the repository or would go into it; without git, what lies in the directory. */
function ourPaths(): readonly string[] {
  const command = ['-c', 'safe.directory=*', 'ls-files', '--cached', '--others'];
  try {
    const output = execFileSync('git', [...command, '--exclude-standard', '-z', '--deduplicate'], {
      cwd: checkout,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return output.split('\0').filter((path) => path !== '');
  } catch {
    return pathsUnder('');
  }
}

function pathsUnder(directory: string): readonly string[] {
  const entries = readdirSync(join(checkout, directory), { withFileTypes: true });
  return entries.flatMap((entry) => {
    if (NOT_OURS.has(entry.name)) return [];
    const path = join(directory, entry.name);
    return entry.isDirectory() ? pathsUnder(path) : [path];
  });
}

/** A file that another program removes in between is none. */
function read(path: string): readonly SourceText[] {
  try {
    return [{ path, text: readFileSync(join(checkout, path), 'utf8') }];
  } catch {
    return [];
  }
}

const texts = ourPaths().flatMap(read);
const modules = texts
  .filter(({ path }) => /^(src|test)\/.*\.tsx?$/.test(path))
  .map(({ path, text }) => parse(path, text));
const sources = modules.filter(({ path }) => path.startsWith('src/'));
const tests = modules.filter(({ path }) => path.startsWith('test/'));
const scripts = texts.filter(({ path }) => /\.(tsx?|css|sh)$/.test(path) || path === '.ci/run');

describe('the house', () => {
  it('was looked at', () => {
    expect(sources.length).toBeGreaterThan(10);
    expect(tests.length).toBeGreaterThan(10);
  });

  it.each([
    ['rooms import only what they may', () => directions(sources)],
    ['no file leads back to itself', () => noCircles(sources)],
    ['files of a local node stand for themselves', () => localFilesApart(sources)],
    ['each package is imported by one file', () => onePackageOneFile(sources)],
    ['properties go by one seed', () => unseeded(tests)],
    ['no file only re-exports', () => noBarrels(sources)],
    ['no export is a default one', () => noDefaultExports(sources)],
    ['time, chance, console and exit are at home', () => restrictedTouches(sources)],
    ['nothing is left unfinished', () => noUnfinishedWork(sources)],
    ['names tell', () => tellingNames(texts.map(({ path }) => path))],
    ['lines are short', () => shortLines(scripts)],
    ['functions are short', () => shortFunctions(modules)],
    ['no literal is spread into another', () => noSpreadLiterals(modules)],
    ['no test is left out', () => noTestLeftOut(tests)],
    ['no path of a machine is named', () => noMachinePaths(texts)],
    ['no package registry is named', () => noRegistries(texts)],
  ])('%s', (_rule, complaints) => {
    expect(complaints()).toEqual([]);
  });
});

/** Files for a rule to complain about, by path. */
const written = (files: Readonly<Record<string, string>>): readonly Module[] =>
  Object.entries(files).map(([path, text]) => parse(path, text));

const lines = (count: number): string => 'x();\n'.repeat(count);

type Case = readonly [path: string, text: string];

describe('directions', () => {
  it.each<Case>([
    ['src/core/a.ts', "import { readFileSync } from 'node:fs';"],
    ['src/core/a.ts', "import { readFileSync } from 'fs';"],
    ['src/core/a.ts', "import * as z from 'zod';"],
    ['src/core/a.ts', "import type { Clock } from '../ports.ts';"],
    ['src/core/policies/a.ts', "import type { Clock } from '../../ports.ts';"],
    ['src/core/a.ts', "export { b } from '../os/b.ts';"],
    ['src/core/a.ts', "const b = await import('../os/b.ts');"],
    ['src/core/a.ts', "type B = import('../os/b.ts').B;"],
    ['src/core/a.ts', "const fs = require('node:fs');"],
    ['src/core/a.ts', "import { b } from './b';"],
    ['src/config/a.ts', "import { b } from '../os/b.ts';"],
    ['src/config/a.ts', "import { b } from '../output/b.ts';"],
    ['src/os/a.ts', "import { b } from '../config/b.ts';"],
    ['src/os/a.ts', "import { b } from '../node/local/b.ts';"],
    ['src/node/port.ts', "import { b } from './local/b.ts';"],
    ['src/node/local/pve/a.ts', "import type { B } from '../../../ports.ts';"],
    ['src/os/a.ts', "import type { Log } from '../ports.ts';"],
    ['src/os/a.ts', "import type { Clock } from '../node/port.ts';"],
    ['src/config/a.ts', "import type { Log } from '../ports.ts';"],
    ['src/output/a.ts', "import type { B } from '../store/b.ts';"],
    ['src/ports.ts', "import { b } from './os/b.ts';"],
    ['src/loop/cycle.ts', "import { b } from '../node/local/b.ts';"],
    ['src/loop/cycle.ts', "import { setTimeout } from 'node:timers';"],
    ['src/loop/a.ts', "import { b } from '../output/b.ts';"],
    ['src/app/a.ts', "import { b } from '../cli/b.ts';"],
    ['src/app/a.ts', "import { b } from '../sim/b.ts';"],
    ['src/app/a.ts', "import { load } from 'js-yaml';"],
    ['src/sim/a.ts', "import { b } from '../os/b.ts';"],
    ['src/sim/a.ts', "import { load } from 'js-yaml';"],
    ['src/elsewhere/a.ts', ''],
    ['src/elsewhere.ts', ''],
  ])('refuses in %s: %s', (path, text) => {
    expect(directions(written({ [path]: text }))).toHaveLength(1);
  });

  it.each<Case>([
    ['src/core/policies/a.ts', "import { b } from '../b.ts';"],
    ['src/os/a.ts', "import { b } from '../core/b.ts'; import { load } from 'js-yaml';"],
    ['src/node/local/pve/a.ts', "import { b } from '../../../os/b.ts'; import fs from 'node:fs';"],
    ['src/notify/a.ts', "import { b } from './b.ts'; import fs from 'node:fs';"],
    ['src/loop/cycle.ts', "import { b } from './core/b.ts'; import type { C } from './ports.ts';"],
    ['src/cli/a.ts', "import { b } from '../os/b.ts'; import d from '../../package.json';"],
    ['src/app/a.ts', "import { b } from '../os/b.ts'; import d from '../../package.json';"],
    ['src/main.ts', "import { b } from './sim/b.ts';"],
  ])('allows in %s: %s', (path, text) => {
    expect(directions(written({ [path]: text }))).toEqual([]);
  });
});

describe('files and names', () => {
  it('keeps the files of a local node apart, except from what is there for all of them', () => {
    const complaints = localFilesApart(
      written({
        'src/node/local/pve/pct.ts':
          "import { a } from '../../../os/command.ts';\nimport { b } from '../paths.ts';",
        'src/node/local/pve/guests.ts':
          "import { a } from './paths.ts';\nimport { b } from './pct.ts';",
      }),
    );
    expect(complaints).toEqual([
      'src/node/local/pve/guests.ts:2: a file of node/local/ may not import ./pct.ts',
    ]);
  });

  it('finds the way on which a file leads back to itself, by a type too', () => {
    const files = {
      'src/core/a.ts': "import { b } from './b.ts';",
      'src/core/b.ts': "import type { C } from './c.ts';",
      'src/core/c.ts': "import { b } from './b.ts';",
      'src/core/d.ts': "import { a } from './a.ts';",
    };
    const way = 'src/core/b.ts -> src/core/c.ts -> src/core/b.ts';
    expect(noCircles(written(files))).toEqual([way]);
  });

  it('finds the second file that imports a package, also by another door of it', () => {
    const complaints = onePackageOneFile(
      written({
        'src/config/a.ts': "import * as y from 'js-yaml';\nimport type { B } from 'js-yaml/mini';",
        'src/cli/b.ts': "import * as z from 'zod';\nimport type { B } from 'js-yaml/mini';",
        'src/cli/e.ts': "import * as z from 'zod/mini';",
        'src/cli/c.ts': "import { d } from '@scope/package';",
        'src/cli/d.ts': "import { d } from '@scope/other';",
      }),
    );
    expect(complaints).toEqual(['src/cli/b.ts:2: js-yaml is already imported by src/config/a.ts']);
  });

  it.each([
    ["export * from './b.ts';", 1],
    ["import { b } from './b.ts';\nexport { b };", 1],
    ["export * from './b.ts';\nexport const c = 1;", 0],
    ["import './b.ts';", 0],
    ['', 0],
  ])('knows a barrel: %j', (text, count) => {
    expect(noBarrels(written({ 'src/core/a.ts': text }))).toHaveLength(count);
  });

  it.each([
    ['export default 1;', 1],
    ['export default function f() {}', 1],
    ['const a = 1;\nexport { a as default };', 1],
    ['export function f(a) { switch (a) { default: return 1; } }', 0],
  ])('knows a default export: %j', (text, count) => {
    expect(noDefaultExports(written({ 'src/core/a.ts': text }))).toHaveLength(count);
  });

  it('refuses vague names', () => {
    const vague = [
      'src/utils/a.ts',
      'src/core/string-utils.ts',
      'test/helpers.ts',
      'src/common.ts',
    ];
    expect(tellingNames([...vague, 'src/core/uncommon.ts', 'src/core/futile.ts'])).toHaveLength(4);
  });
});

describe('sizes', () => {
  it('counts the columns of a line, not its bytes', () => {
    const text = `${'ä'.repeat(100)}\n${'\u{1f600}'.repeat(100)}\n${'a'.repeat(101)}`;
    expect(shortLines([{ path: 'a.ts', text }])).toEqual(['a.ts:3: 101 columns']);
  });

  it.each([
    ['function f() {\n', '}'],
    ['const f = () => {\n', '};'],
    ['class A { f() {\n', '} }'],
    ["it('is long', () => {\n", '});'],
  ])('finds a long function that begins with %j', (head, tail) => {
    const text = (count: number) => head + lines(count) + tail;
    expect(shortFunctions(written({ 'test/a.ts': text(60) }))).toEqual([]);
    expect(shortFunctions(written({ 'test/a.ts': text(61) }))).toHaveLength(1);
  });

  it('takes no chapter of tests for a function', () => {
    const chapter = (call: string) => `${call}('a', () => {\n${lines(99)}});\n`;
    const text = chapter('describe') + chapter('describe.each([1])');
    expect(shortFunctions(written({ 'test/a.ts': text }))).toEqual([]);
  });
});

describe('literals', () => {
  it.each<Case>([
    ['src/os/a.ts', 'const a = { ...{ b: 1 } };'],
    ['src/os/a.ts', 'const a = { ...({ b: 1 } as const) };'],
    ['test/a.ts', 'const a = [...[1, 2]];'],
    ['test/a.ts', "const a = [...(['b'] as const)];"],
  ])('refuses in %s: %s', (path, text) => {
    expect(noSpreadLiterals(written({ [path]: text }))).toHaveLength(1);
  });

  it('lets values be spread, and what is there only sometimes', () => {
    const text = 'const a = { ...b, ...(c && { d }) };\nconst e = [...f, ...(g ? [1] : [])];\n';
    expect(noSpreadLiterals(written({ 'src/os/a.ts': text }))).toEqual([]);
  });
});

describe('touches of the world', () => {
  it.each<Case>([
    ['src/output/a.ts', 'const a = Date.now();'],
    ['src/output/a.ts', 'const now = Date.now;'],
    ['src/output/a.ts', 'const a = new Date();'],
    ['src/output/a.ts', 'const a = new Date;'],
    ['src/output/a.ts', 'const a = Date();'],
    ['src/cli/a.ts', 'process.exit(1);'],
    ['src/main.ts', "console.log('a');"],
    ['src/main.ts', 'const { log } = console;'],
    ['src/main.ts', 'Math.random();'],
    ['src/os/a.ts', 'process.hrtime.bigint();'],
    ['src/core/a.ts', 'const home = process.env;'],
    ['src/core/a.ts', 'setTimeout(f, 1);'],
    ['src/loop/cycle.ts', "fetch('a');"],
  ])('are refused in %s: %s', (path, text) => {
    expect(restrictedTouches(written({ [path]: text }))).toHaveLength(1);
  });

  it.each<Case>([
    ['src/main.ts', 'const a = Date.now(); process.exit(1);'],
    ['src/output/a.ts', 'const a = new Date(0); const b = new Date(a);'],
    ['src/output/a.ts', 'a.console.write({ console: 1 }); interface A { console: number }'],
    ['src/core/a.ts', "// Date.now() and process.exit()\nconst a = 'Math.random()';"],
  ])('are allowed in %s: %s', (path, text) => {
    expect(restrictedTouches(written({ [path]: text }))).toEqual([]);
  });
});

describe('texts', () => {
  // Put together, so that this file does not offend against the rules that it tests.
  const slash = '/';

  it.each(['TODO', 'FIXME', 'XXX'])('may not say %s', (word) => {
    expect(noUnfinishedWork([{ path: 'a.ts', text: `\n// ${word}: later` }])).toHaveLength(1);
    expect(noUnfinishedWork([{ path: 'a.ts', text: `a${word}b` }])).toEqual([]);
  });

  it.each(['work', 'root', 'home'])('may not name the directory %s', (name) => {
    const text = (path: string) => [{ path: 'a.md', text: path }];
    expect(noMachinePaths(text(`cd ${slash}${name}${slash}main`))).toHaveLength(1);
    expect(noMachinePaths(text(`'${slash}${name}'`))).toHaveLength(1);
    expect(noMachinePaths(text(`src${slash}${name}${slash}a, ${slash}${name}shop`))).toEqual([]);
  });

  it.each([`registry${'.'}npmjs.org`, `_auth${'Token'}=x`])('may not name %s', (text) => {
    expect(noRegistries([{ path: 'a', text }])).toHaveLength(1);
  });

  it.each(['it.only', 'test.skip', 'describe.todo', 'it.concurrent.only'])('no %s', (call) => {
    expect(noTestLeftOut(written({ 'test/a.ts': `${call}('a', f);` }))).toHaveLength(1);
    expect(noTestLeftOut(written({ 'test/a.ts': "it.skipIf(a)('b', f); it.each([1])" }))).toEqual(
      [],
    );
  });
});
