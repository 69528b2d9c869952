import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMANDS } from '../../src/cli/commands.ts';
import { OPTIONS } from '../../src/cli/options.ts';
import { DEFAULTS } from '../../src/config/defaults.ts';
import { KEYS } from '../../src/config/keys.ts';
import { parseConfig } from '../../src/config/load.ts';
import { check } from '../../src/config/schema.ts';
import { bashCompletion, zshCompletion } from '../../tools/docs/completions.ts';
import { jsonSchema } from '../../tools/docs/json-schema.ts';
import { manPage } from '../../tools/docs/man-page.ts';
import { fc } from '../fast-check.ts';

/** What is made of the help and of the schema is held against the program. */

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-docs-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

const has = (program: string): boolean =>
  spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;

function fileOf(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

describe('the manual page', () => {
  const page = manPage('1.2.3', '2026-11-22');

  it('has every command, every option and every key', () => {
    const plain = page.replaceAll('\\-', '-').replace(/\\f[BIR]/g, '');
    for (const { name } of COMMANDS) expect(plain).toMatch(new RegExp(`^${name}\\b`, 'm'));
    for (const option of Object.keys(OPTIONS)) expect(plain).toContain(`--${option}`);
    for (const section of Object.values(KEYS)) {
      for (const key of Object.keys(section)) expect(plain).toContain(key);
    }
  });

  it.skipIf(!has('man'))('is shown without a warning', () => {
    const path = fileOf('lxc-autoscale.1', page);
    const env = { ...process.env, LC_ALL: 'C.UTF-8', MANWIDTH: '80', MANROFFSEQ: '' };
    const { status, stdout, stderr } = spawnSync('man', ['--warnings', '-l', path], {
      env,
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout.replace(/\s+/g, ' ')).toContain('the JSON log, one object a line');
  });
});

/** What bash would offer for the last of the words. */
function offered(...words: readonly string[]): string[] {
  const script = bashCompletion().replaceAll('/etc/pve', join(directory, 'pve'));
  return offeredBy(script, words);
}

function offeredBy(completion: string, words: readonly string[]): string[] {
  const path = fileOf('completion.bash', completion);
  const run = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    _lxc_autoscale; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const argv = ['-euo', 'pipefail', '-c', run, 'bash', path, 'lxc-autoscale', ...words];
  return execFileSync('bash', argv, { encoding: 'utf8', cwd: directory }).trim().split('\n');
}

/** What stands in the line of an interactive zsh after the tab key. */
function completedByZsh(typed: string): string {
  const script = `
    zmodload zsh/zpty
    zpty shell zsh -f -i
    zpty -w shell 'fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -d $PWD/dump'
    zpty -w shell 'told() { print -r "<""<$BUFFER>""> " }; zle -N told; bindkey "^X" told'
    zpty -w shell 'lxc-autoscale() { : }; bindkey "^I" complete-word; print re""ady'
    zpty -r shell out '*ready*'
    zpty -w -n shell "lxc-autoscale $1"$'\\t\\x18'
    zpty -r shell out '*<<*>>*'
    print -r -- "\${\${out##*<<}%%>>*}"
    zpty -d shell`;
  const argv = ['-f', '-c', script, 'zsh', typed];
  const printed = execFileSync('zsh', argv, { encoding: 'utf8', cwd: directory, timeout: 20_000 });
  return printed.replace(/^lxc-autoscale /, '').replace(/\n$/, '');
}

describe('the completion for bash', () => {
  it('offers every command, and of a command its options', () => {
    expect(offered('')).toEqual(COMMANDS.map(({ name }) => name));
    expect(offered('mig')).toEqual(['migrate-config']);
    expect(offered('demo', '--d')).toEqual(['--duration']);
    expect(offered('configure', '--')).toEqual(expect.arrayContaining(['--for', '--yes', '--out']));
    expect(offered('status', '--')).not.toContain('--trace');
  });

  it('knows every option', () => {
    const all = offered('--');
    expect(all.sort()).toEqual(
      Object.keys(OPTIONS)
        .map((option) => `--${option}`)
        .sort(),
    );
  });

  it('offers ids and names of containers, and runs nothing that a name says', () => {
    mkdirSync(join(directory, 'pve/lxc'), { recursive: true });
    const mark = join(directory, 'mark');
    const names = { 101: 'web-1.lan', 102: `$(touch ${mark})`, 103: `x;touch ${mark}`, 104: 'db' };
    for (const [id, name] of Object.entries(names)) {
      fileOf(`pve/lxc/${id}.conf`, `cores: 1\nhostname: ${name}\n`);
    }
    mkdirSync(join(directory, 'pve/qemu-server'));
    fileOf('pve/lxc/`touch mark`.conf', 'hostname: `touch mark`\n');
    fileOf('pve/qemu-server/200.conf', 'cores: 1\nname: win11\nnet0: name=eth0\n');
    const ids = ['101', '102', '103', '104', '200'];
    expect(offered('explain', '')).toEqual([...ids, 'web-1.lan', 'db', 'win11']);
    expect(offered('status', 'we')).toEqual(['web-1.lan']);
    expect(offered('activate', 'we')).toEqual(['web-1.lan']);
    expect(offered('status', '--sort', 'mem')).toEqual(['memory']);
    expect(offered('backtest', '--policy', 'adaptive-')).toHaveLength(2);
    expect(existsSync(mark)).toBe(false);
  });

  it('offers files and directories where such are meant', () => {
    fileOf('some.csv', '');
    expect(offered('demo', '--trace', 'some')).toEqual(['some.csv']);
    expect(offered('migrate-config', 'some')).toEqual(['some.csv']);
    expect(offered('--sysroot', 'some')).toEqual(['']);
  });

  it.skipIf(!has('shellcheck'))('is clean to shellcheck', () => {
    const path = fileOf('checked.bash', bashCompletion());
    const { stdout } = spawnSync('shellcheck', ['-s', 'bash', path], { encoding: 'utf8' });
    expect(stdout).toBe('');
  });
});

describe('the completion for zsh', () => {
  it('has every command and every option', () => {
    const text = zshCompletion();
    for (const { name } of COMMANDS) expect(text).toContain(`    (${name})\n`);
    for (const option of Object.keys(OPTIONS)) expect(text).toContain(`'--${option}[`);
  });

  it.skipIf(!has('zsh'))('completes what an admin begins to type', () => {
    mkdirSync(join(directory, 'pve/lxc'), { recursive: true });
    mkdirSync(join(directory, 'pve/qemu-server'), { recursive: true });
    fileOf('pve/lxc/101.conf', 'cores: 1\nhostname: web-1.lan\n');
    fileOf('pve/qemu-server/200.conf', 'cores: 1\nname: win11\n');
    fileOf('_lxc-autoscale', zshCompletion().replaceAll('/etc/pve', join(directory, 'pve')));
    const lines = {
      mig: 'migrate-config ',
      'explain we': 'explain web-1.lan ',
      'explain win': 'explain win11 ',
      'explain 20': 'explain 200 ',
      'status --sort mem': 'status --sort memory ',
      'backtest --policy py': 'backtest --policy python-tool ',
      'notify-test nt': 'notify-test ntfy ',
      '--debug configure --y': '--debug configure --yes ',
      'demo --dur': 'demo --duration ',
    };
    for (const [typed, line] of Object.entries(lines)) expect(completedByZsh(typed)).toBe(line);
  });

  it('is understood by zsh', (context) => {
    if (!has('zsh')) context.skip('there is no zsh on this machine');
    const path = fileOf('_lxc-autoscale', zshCompletion());
    expect(spawnSync('zsh', ['-n', path], { encoding: 'utf8' })).toMatchObject({
      status: 0,
      stderr: '',
    });
  });
});

interface Node {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: Node;
  readonly anyOf?: readonly Node[];
  readonly properties?: Readonly<Record<string, Node>>;
  readonly patternProperties?: Readonly<Record<string, Node>>;
  readonly propertyNames?: Node;
  readonly additionalProperties?: boolean | Node;
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value === 'number' && Number.isInteger(value) ? 'integer' : typeof value;
}

/** The part of JSON Schema that ours makes use of. */
function fits(node: Node, value: unknown): boolean {
  const type = typeOf(value);
  const types = typeof node.type === 'string' ? [node.type] : node.type;
  if (types !== undefined && !types.includes(type)) {
    if (type !== 'integer' || !types.includes('number')) return false;
  }
  if (node.enum !== undefined && !node.enum.includes(value)) return false;
  if (typeof value === 'string' && node.pattern !== undefined) {
    if (!new RegExp(node.pattern).test(value)) return false;
  }
  if (typeof value === 'number') {
    if (value < (node.minimum ?? -Infinity) || value > (node.maximum ?? Infinity)) return false;
  }
  const { items, anyOf } = node;
  if (Array.isArray(value) && items && !value.every((item) => fits(items, item))) return false;
  if (anyOf !== undefined && !anyOf.some((one) => fits(one, value))) return false;
  return type !== 'object' || fitsObject(node, Object.entries(value as object));
}

function fitsObject(node: Node, entries: readonly (readonly [string, unknown])[]): boolean {
  return entries.every(([key, value]) => {
    if (node.propertyNames !== undefined && !fits(node.propertyNames, key)) return false;
    const own = node.properties?.[key];
    if (own !== undefined) return fits(own, value);
    const patterns = Object.entries(node.patternProperties ?? {});
    const found = patterns.find(([pattern]) => new RegExp(pattern).test(key));
    const rest = node.additionalProperties;
    if (found !== undefined) return fits(found[1], value);
    return typeof rest === 'object' ? fits(rest, value) : rest !== false;
  });
}

/** A value as an editor reads it (YAML 1.2), and as our reader does, which keeps it as text. */
const scalars = fc.oneof(
  fc.integer({ min: -5, max: 200 }),
  fc.constantFrom(16, 300, 512, 1024, 86_400, 86_401, 9999, 16_777_216, 16_777_217, 999_999_999),
  fc.double({ min: 0, max: 20, noNaN: true }).map((value) => Number(value.toFixed(2))),
  fc.boolean(),
  fc.constant(null),
  fc.constantFrom('yes', 'Off', 'NORMAL', 'boost', ' 80 ', '1_000', '', '~', 'none', 'cpulimit'),
  fc.constantFrom('100,101', '120-139', 'web-*', 'tag:web', '/a/b', 'http://h', 'warn', 'vmbr0'),
  fc.constantFrom('4G', '512 MiB', '5m', '1h30m', '2d', '80%', '22:00', '7h', '5 minutes'),
  fc.constantFrom('10.0.0.1', '0 22 * * 1-5', 'Europe/Rome', 'strict', 'tagged', '22-7', 'failed'),
);
const asRead = (value: unknown): unknown => {
  if (value === null || typeof value === 'string') return value;
  return Array.isArray(value) ? value.map(asRead) : String(value);
};

describe('the JSON Schema', () => {
  const schema = jsonSchema() as Node;
  const places = [
    ['DEFAULT', KEYS.default, schema.properties?.['DEFAULT']],
    ['TIER_a', KEYS.tier, schema.patternProperties?.['^TIER_.']],
    ['GROUP', KEYS.group, schema.patternProperties?.['^HORIZONTAL_SCALING_GROUP_.']],
    ['NODES', KEYS.node, schema.properties?.['NODES']?.additionalProperties as Node],
  ] as const;

  it.each(places)('%s: has every key with what it does', (_name, section, node) => {
    const keys = Object.keys(node?.properties ?? {}).filter((key) => key !== '<<');
    expect(keys).toEqual(Object.keys(section));
    for (const [key, own] of Object.entries(section)) {
      const said = JSON.stringify(node?.properties?.[key]);
      expect(said).toContain(JSON.stringify(own.info.does).slice(1, -1));
    }
  });

  it('never refuses what the program takes', () => {
    const value = fc.oneof(scalars, fc.array(scalars, { maxLength: 3 }));
    fc.assert(
      fc.property(value, (given) => {
        for (const [, section, node] of places) {
          for (const [key, own] of Object.entries(section)) {
            const rule = node?.properties?.[key];
            if (rule === undefined || !check(own, asRead(given)).ok) continue;
            expect([key, given, fits(rule, given)]).toEqual([key, given, true]);
          }
        }
      }),
      { numRuns: 400 },
    );
  });

  it.each([
    ['poll_interval', 0],
    ['poll_interval', 86_401],
    ['poll_interval', 1.5],
    ['poll_interval', 'soon'],
    ['behaviour', 'wild'],
    ['energy_mode', 'perhaps'],
    ['boost_factor', 11],
    ['min_memory', 15],
    ['ignore_lxc', [{}]],
    ['cooldown_seconds', { sideways: 5 }],
  ])('refuses %s: %j', (key, value) => {
    expect(fits(schema, { DEFAULT: { [key]: value } })).toBe(false);
  });

  it.each([
    [{ DEFAULT: { poll_interval: 5, cooldown_seconds: { up: 1, down: 5 } }, TIER_a: null }, true],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is the notation, not a template.
    [{ DEFAULT: { poll_interval: '${SECONDS:-5}', behaviour: '${HOW}' } }, true],
    [{ DEFAULT: { log_level: { groups: 'debug', default: 'WARN' } } }, true],
    [{ DEFAULT: { log_level: { kitchen: 'debug' } } }, false],
    [{ DEFAULT: { pol_interval: 5 } }, false],
    [{ DEFAULTS: {} }, false],
    [{ TIER_a: { poll_interval: 5 } }, false],
    [[], false],
  ])('%j fits: %s', (value, expected) => {
    expect(fits(schema, value)).toBe(expected);
  });

  it('gives defaults that fit', () => {
    for (const [key, value] of Object.entries(DEFAULTS)) {
      const rule = schema.properties?.['DEFAULT']?.properties?.[key] as { default?: unknown };
      if (rule.default === undefined) continue;
      expect([key, rule.default]).toEqual([key, value]);
      expect(fits(rule as Node, rule.default)).toBe(true);
    }
  });

  it('is named in the sample file, which loads', () => {
    const path = new URL('../../lxc_autoscale.yaml', import.meta.url);
    const sample = readFileSync(path, 'utf8');
    expect(sample).toMatch(/^# yaml-language-server: \$schema=\S+\/lxc_autoscale\.schema\.json$/m);
    expect(parseConfig(sample, 'f', {}).ok).toBe(true);
  });
});
