import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NODE_VERSIONS, type NodeBinary, nodeBinary } from '../node-versions.ts';

const checkout = new URL('../..', import.meta.url).pathname;
const bundle = join(checkout, 'dist', 'lxc-autoscale.cjs');
/**
 * Was 750 KiB before groups, messages, metrics, cron and the lab, and 1,024 before what a real node
 * has shown was mended; what is not used is not run.
 */
const MAX_BUNDLE_BYTES = 1100 * 1024;
const MINUTES = 60_000;

/** A directory with the bundle in it and nothing else, as on a host. */
let directory: string;
let copy: string;

beforeAll(() => {
  if (!existsSync(bundle)) throw new Error('there is no bundle to test: npm run build');
  directory = mkdtempSync(join(tmpdir(), 'bundle-'));
  copy = join(directory, 'lxc-autoscale.cjs');
  copyFileSync(bundle, copy);
});

afterAll(() => {
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
});

/** The modules that the bundle asks for, and calls that ask for one which only a run would tell. */
function requestedModules(text: string): readonly string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && isRequest(node.expression)) {
      const [first] = node.arguments;
      const isName = first !== undefined && ts.isStringLiteralLike(first);
      found.push(isName ? first.text : node.getText().slice(0, 80));
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('bundle.cjs', text, ts.ScriptTarget.ES2022, true));
  return found;
}

const isRequest = (callee: ts.Expression): boolean =>
  callee.kind === ts.SyntaxKind.ImportKeyword ||
  (ts.isIdentifier(callee) && /^(__)?require$/.test(callee.text)) ||
  callee.getText() === 'module.require';

describe('the bundle', () => {
  it('is small', () => {
    expect(statSync(bundle).size).toBeLessThanOrEqual(MAX_BUNDLE_BYTES);
  });

  it('asks for nothing but what Node brings', () => {
    const requested = requestedModules(readFileSync(bundle, 'utf8'));
    expect(requested).toContain('node:fs');
    expect(requested.filter((name) => !isBuiltin(name))).toEqual([]);
  });

  it('keeps the names of functions, so that a stack trace can be read', () => {
    // A line may end in the middle of a text.
    const text = readFileSync(bundle, 'utf8').replaceAll('\\\n', '');
    // Shortened where they stand, and given back by a call beside them.
    for (const name of ['plainText', 'parseVmid', 'createLog', 'createJournal', 'appendLine']) {
      expect(text).toMatch(new RegExp(`function ${name}\\d*\\(|,"${name}"\\)`));
    }
  });

  it('finds what a module asks for', () => {
    const text =
      "const a = require('left-pad'); import('b'); c.require('d'); require(e + '.node');";
    expect(requestedModules(text)).toEqual(['left-pad', 'b', "require(e + '.node')"]);
  });
});

describe.each(NODE_VERSIONS)('the bundle on Node %s, without node_modules', (version) => {
  let node: NodeBinary;

  beforeAll(async () => {
    node = await nodeBinary(version);
  }, 10 * MINUTES);

  function run(binary: NodeBinary & { ok: true }, args: readonly string[]) {
    const { status, stdout, stderr } = spawnSync(binary.path, [copy, ...args], {
      cwd: directory,
      env: { PATH: process.env['PATH'] },
      encoding: 'utf8',
      timeout: 240_000,
    });
    return { status, stdout, stderr };
  }

  it('is that version', (context) => {
    if (!node.ok) return context.skip(node.reason);
    const { stdout } = spawnSync(node.path, ['--version'], { encoding: 'utf8' });
    expect(stdout).toBe(`v${version}\n`);
  });

  it('tells its version', (context) => {
    if (!node.ok) return context.skip(node.reason);
    const manifest: unknown = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8'));
    const { status, stdout, stderr } = run(node, ['--version']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const [told] = /\d+\.\d+\.\d+/.exec(stdout) ?? [];
    expect(manifest).toMatchObject({ version: told });
    expect(stdout.split('\n')).toHaveLength(2);
  });

  it('tells how it is called', (context) => {
    if (!node.ok) return context.skip(node.reason);
    const { status, stdout, stderr } = run(node, ['--help']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const words = ['daemon', 'once', 'check-config', 'demo'];
    const options = ['--config', '--sysroot', '--dry-run', '--version', '--poll_interval'];
    for (const word of [...words, ...options]) expect(stdout).toContain(word);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  it('refuses a command that it does not know with exit code 64', (context) => {
    if (!node.ok) return context.skip(node.reason);
    const { status, stderr } = run(node, ['dance']);
    expect(status).toBe(64);
    expect(stderr).toContain('dance');
    expect(stderr).not.toMatch(/^ +at /m);
  });
});
