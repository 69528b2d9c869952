import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ts from 'typescript';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  CRON_FILE,
  FILES,
  HTTP_FILE,
  LAB_FILE,
  MAIN_FILE,
  MORE_FILE,
} from '../../tools/build/bundles.ts';
import { NODE_VERSIONS, type NodeBinary, nodeBinary } from '../node-versions.ts';
import { until } from '../patience.ts';
import { hungry, NodeUnderTest } from './node-under-test.ts';

const checkout = new URL('../..', import.meta.url).pathname;
const dist = (name: string): string => join(checkout, 'dist', name);
const MAX_BYTES = {
  [MAIN_FILE]: 700 * 1000,
  [MORE_FILE]: 450 * 1000,
  [LAB_FILE]: 290 * 1000,
  [HTTP_FILE]: 110 * 1000,
  [CRON_FILE]: 85 * 1000,
};
const MINUTES = 60_000;

/** A directory with the files in it and nothing else, as on a host. */
let directory: string;
let copy: string;

beforeAll(() => {
  if (!existsSync(dist(MAIN_FILE))) throw new Error('there is no bundle to test: npm run build');
  directory = mkdtempSync(join(tmpdir(), 'bundle-'));
  for (const name of FILES) copyFileSync(dist(name), join(directory, name));
  copy = join(directory, MAIN_FILE);
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
  it('has the sizes of docs/performance.md, within a twentieth', () => {
    const page = readFileSync(join(checkout, 'docs/performance.md'), 'utf8');
    const row = page.split('\n').find((line) => line.includes('the file of the lab')) ?? '';
    const said = [...row.matchAll(/([\d.]+) MB/g)].map(([, mb]) => Number(mb) * 1e6);
    expect(said).toHaveLength(FILES.length);
    for (const [index, name] of FILES.entries()) {
      const { size } = statSync(dist(name));
      expect(Math.abs(size - (said[index] ?? 0)) / size, name).toBeLessThan(0.05);
    }
  });

  it.each(Object.entries(MAX_BYTES))('%s has at most %i bytes', (name, bytes) => {
    expect(statSync(dist(name)).size).toBeLessThanOrEqual(bytes);
  });

  it.each([
    { name: MAIN_FILE, beside: [MORE_FILE, LAB_FILE, HTTP_FILE, CRON_FILE] },
    { name: MORE_FILE, beside: [MAIN_FILE] },
    { name: LAB_FILE, beside: [MAIN_FILE, MORE_FILE] },
    { name: HTTP_FILE, beside: [MAIN_FILE, MORE_FILE] },
    { name: CRON_FILE, beside: [] },
  ])('$name asks for nothing but what Node brings, and $beside', ({ name, beside }) => {
    const requested = requestedModules(readFileSync(dist(name), 'utf8'));
    const others = requested.filter((one) => !isBuiltin(one));
    expect(others.sort()).toEqual(beside.map((file) => `./${file}`).sort());
  });

  it('keeps the names of functions, so that a stack trace can be read', () => {
    // A line may end in the middle of a text.
    const text = readFileSync(dist(MAIN_FILE), 'utf8').replaceAll('\\\n', '');
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

describe('the second file', () => {
  const lab = (): string => join(directory, LAB_FILE);
  const migrate = () => {
    const old = join(directory, 'old.conf');
    writeFileSync(old, '[DEFAULT]\npoll_interval = 60\n');
    const { status, stdout, stderr } = spawnSync(process.execPath, [copy, 'migrate-config', old], {
      cwd: '/',
      encoding: 'utf8',
      timeout: 60_000,
    });
    return { status, stdout, stderr };
  };
  afterEach(() => copyFileSync(dist(LAB_FILE), lab()));

  it('has the commands that a node seldom runs', () => {
    const { status, stdout } = migrate();
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: expect.stringContaining('poll_interval: 60\n'),
    });
  });

  it('asks no file system in a thread, since the first one ends the process', () => {
    const asking = 'statfs';
    expect(readFileSync(dist(MAIN_FILE), 'utf8').replaceAll('\\\n', '')).toContain(asking);
    expect(readFileSync(dist(LAB_FILE), 'utf8').replaceAll('\\\n', '')).not.toContain(asking);
  });

  it('is found beside the first one when that is a link', () => {
    const link = join(directory, 'link.cjs');
    symlinkSync(copy, link);
    const args = [link, 'backtest', '--policy', 'nothing-like-it'];
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: '/', encoding: 'utf8' });
    expect(status).toBe(64);
    expect(stderr).toContain("policy 'nothing-like-it'");
  });

  it('is named in one sentence when it is missing', () => {
    rmSync(lab());
    expect(migrate()).toEqual({
      status: 1,
      stdout: '',
      stderr: `lxc-autoscale: ${lab()} is missing; install the same release again\n`,
    });
  });

  it('is refused if it is of another release, or not whole', () => {
    const text = readFileSync(dist(LAB_FILE), 'utf8');
    const [build] = /"[0-9a-f]{16}"/.exec(text) ?? [];
    writeFileSync(lab(), text.replaceAll(`${build}`, '"0123456789abcdef"'));
    const other = migrate();
    expect(other.status).toBe(1);
    expect(other.stderr).toContain(`${lab()} is of another release than this program; install`);
    writeFileSync(lab(), text.slice(0, text.length / 2));
    const half = migrate();
    expect(half.status).toBe(1);
    expect(half.stderr).toMatch(/lxc-autoscale-lab\.cjs cannot be loaded: .*; install the same/);
    expect(half.stderr.split('\n')).toHaveLength(2);
  });
});

describe('what is loaded if it is asked for', () => {
  it('is named in one sentence when it is missing, and the version is told all the same', () => {
    const more = join(directory, MORE_FILE);
    rmSync(more);
    const call = (...args: string[]) => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [copy, ...args], {
        encoding: 'utf8',
      });
      return { status, stdout, stderr };
    };
    try {
      expect(call('--version')).toMatchObject({ status: 0, stderr: '' });
      expect(call('report')).toEqual({
        status: 1,
        stdout: '',
        stderr: `lxc-autoscale: ${more} is missing; install the same release again\n`,
      });
    } finally {
      copyFileSync(dist(MORE_FILE), more);
    }
  });
});

describe('a daemon with nothing but the main file', () => {
  let alone: string;
  const bundle = (): string => join(alone, MAIN_FILE);

  beforeAll(() => {
    alone = mkdtempSync(join(tmpdir(), 'bundle-alone-'));
    copyFileSync(dist(MAIN_FILE), bundle());
  });
  afterAll(() => rmSync(alone, { recursive: true, force: true }));

  const started = async (keys: string) => {
    const under = await NodeUnderTest.create([hungry(101)]);
    under.configure(`DEFAULT:\n  poll_interval: 1\n${keys}`);
    return { under, daemon: under.start(['daemon'], undefined, undefined, bundle()) };
  };
  const grown = (under: NodeUnderTest) =>
    until(
      () => under.sets().length > 0,
      () => under.log(),
    );
  const without = (name: string): string =>
    'Some of what the configuration asks for does not work, and scaling goes on: ' +
    `${join(alone, name)} is missing; install the same release again.`;

  it('changes a guest', async () => {
    const { under } = await started('');
    await grown(under);
    expect(under.sets()[0]).toEqual(expect.arrayContaining(['set', '101', '--memory']));
    expect(under.log()).not.toMatch(/ERROR/);
  });

  it('says what does not work, and changes a guest all the same', async () => {
    const asked = [
      'metrics_listen: 127.0.0.1:19731',
      'http_listen: 127.0.0.1:19732',
      'gotify_url: http://127.0.0.1:1',
      'gotify_token: t',
      'report: weekly',
    ];
    const far = 'NODES:\n  far: {connection: ssh, host: 127.0.0.1, port: 1}\n';
    const group = 'HORIZONTAL_SCALING_GROUP_web: {source: 101, lxc_containers: [101]}\n';
    const { under, daemon } = await started(`  ${asked.join('\n  ')}\n${far}${group}`);
    await grown(under);
    expect(under.log()).toContain(without(MORE_FILE));
    daemon.signal('SIGHUP');
    await daemon.saying('The configuration was reloaded.');
    await daemon.cycles(2);
    expect(under.log()).not.toMatch(/internal error|^ +at /m);
    daemon.signal('SIGTERM');
    expect(await daemon.ended).toMatchObject({ code: 0 });
  });

  it('refuses a cron expression that it cannot check, and keeps what it has', async () => {
    const { under, daemon } = await started('');
    await daemon.cycles(1);
    const cron = '  energy_mode: True\n  off_peak_cron: 0 22 * * *\n  off_peak_minutes: 60\n';
    const why =
      "/etc/lxc_autoscale/lxc_autoscale.yaml:4: off_peak_cron: '0 22 * * *' cannot be checked: " +
      `${join(alone, CRON_FILE)} is missing; install the same release again; allowed:`;
    under.configure(`DEFAULT:\n  poll_interval: 1\n${cron}`);
    daemon.signal('SIGHUP');
    await daemon.saying('The configuration was NOT reloaded');
    expect(under.log()).toContain(why);
    await daemon.cycles(1);
    daemon.signal('SIGTERM');
    expect(await daemon.ended).toMatchObject({ code: 0 });
    const again = under.start(['daemon'], undefined, undefined, bundle());
    expect(await again.ended).toMatchObject({ code: 78, stderr: expect.stringContaining(why) });
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
    const all = run(node, ['--help']);
    expect(all).toMatchObject({ status: 0, stderr: '' });
    const words = ['daemon', 'once', 'check-config', 'demo', '--config', '--sysroot', '--version'];
    for (const word of words) expect(all.stdout).toContain(word);
    const own = run(node, ['daemon', '--help']);
    expect(own).toMatchObject({ status: 0, stderr: '' });
    for (const word of ['--config', '--dry-run', '--poll_interval']) {
      expect(own.stdout).toContain(word);
    }
    expect(own.stdout).not.toContain('--trace');
  });

  it('refuses a command that it does not know with exit code 64', (context) => {
    if (!node.ok) return context.skip(node.reason);
    const { status, stderr } = run(node, ['dance']);
    expect(status).toBe(64);
    expect(stderr).toContain('dance');
    expect(stderr).not.toMatch(/^ +at /m);
  });
});
