import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { Arguments } from '../../src/cli/arguments.ts';
import { parseArguments } from '../../src/cli/command-line.ts';
import { type Ask, configureWith } from '../../src/cli/configure.ts';
import { loadConfig } from '../../src/config/load.ts';
import { milliseconds } from '../../src/core/units.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import type { Clock } from '../../src/node/port.ts';
import { guest, NodeUnderTest } from '../e2e/node-under-test.ts';

/** The guided start on a simulated node, with answers in place of a person. */

const clock: Clock = {
  wallMs: () => milliseconds(Date.UTC(2026, 10, 22)),
  monotonicMs: () => milliseconds(performance.now()),
};

class Page extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

const FILE = 'etc/lxc_autoscale/lxc_autoscale.yaml';

function given(...argv: string[]): Arguments {
  const parsed = parseArguments(['configure', '--for', '1', ...argv]);
  if (parsed.kind !== 'run') throw new Error(JSON.stringify(parsed));
  return parsed.arguments;
}

/** A node with a busy, a full, an idle and an ignored container, and one that is a template. */
async function node() {
  const under = await NodeUnderTest.create([
    guest(101, { cores: 2, memoryMib: 1024, name: 'busy' }, { cpuCores: 2, anonMib: 300 }),
    guest(102, { cores: 2, memoryMib: 1024, name: 'full' }, { cpuCores: 0.5, anonMib: 900 }),
    guest(103, { cores: 2, memoryMib: 2048, name: 'idle' }, { cpuCores: 0, anonMib: 100 }),
  ]);
  under.node.start();
  return under;
}

async function run(root: string, answers: readonly string[] | undefined, ...argv: string[]) {
  const left = [...(answers ?? [])];
  const questions: string[] = [];
  const ask: Ask = async (question) => {
    questions.push(question);
    return left.shift();
  };
  const [stdout, stderr] = [new Page(), new Page()];
  const around = { paths: createPaths(root), clock, env: {}, stdout, stderr };
  const code = await configureWith(given(...argv), around, answers && ask);
  return { code, stdout: stdout.text, stderr: stderr.text, questions };
}

function written(root: string) {
  const loaded = loadConfig(join(root, FILE), FILE, {});
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded.config;
}

describe('configure', () => {
  it('takes its own proposals where nobody is asked, with a backup of what was there', async () => {
    const { root } = await node();
    const before = readFileSync(join(root, FILE), 'utf8');
    const { code, stdout, stderr } = await run(root, undefined);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/TIER_busy: 101 .*\n(.*\n)*TIER_memory: 102 .*\n(.*\n)*TIER_idle: 103 /);
    const [, backup = ''] = /kept as (.*)/.exec(stdout) ?? [];
    expect(readFileSync(backup, 'utf8')).toBe(before);
    expect(backup).toMatch(/\.yaml\.20\d{6}-\d{6}\.backup$/);
    const config = written(root);
    expect(config.tiers.map(({ name }) => name)).toEqual(['TIER_busy', 'TIER_memory', 'TIER_idle']);
    expect(config.defaults.scaling).toBe('observe');
    expect(statSync(join(root, FILE)).mode & 0o137).toBe(0);
  });

  it('proposes a preset by the name of a container, with the reason', async () => {
    const { node, root } = await NodeUnderTest.create([
      guest(104, { cores: 2, memoryMib: 2048, name: 'nextcloud-2' }, { cpuCores: 0, anonMib: 100 }),
    ]);
    node.start();
    const { code, stdout } = await run(root, undefined);
    expect(code).toBe(0);
    expect(stdout).toContain('TIER_nextcloud: 104 (seem to run nextcloud, as its name says)\n');
    expect(stdout.replaceAll('\n  # ', ' ')).toContain(
      'An upload with its previews starts many PHP',
    );
    expect(written(root).tiers[0]?.policy.preset?.name).toBe('nextcloud');
  });

  it('asks four things, once more where an answer is none', async () => {
    const { root } = await node();
    const { code, questions } = await run(root, ['what', 'c', '1x', '103, 103', 'y', '']);
    expect(code).toBe(0);
    expect(questions).toHaveLength(6);
    const config = written(root);
    expect(config.defaults.scaling).toBe('threshold');
    expect(config.ignored.ids).toEqual([{ from: 103, to: 103 }]);
    expect(config.tiers.map(({ name }) => name)).toEqual(['TIER_busy', 'TIER_memory']);
  });

  it.each([
    ['no at the end', ['', '', '', 'n']],
    ['nobody there any more', ['']],
  ])('writes nothing after %s', async (_, answers) => {
    const { root } = await node();
    const before = readFileSync(join(root, FILE), 'utf8');
    const { code, stderr } = await run(root, answers);
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'Nothing was written.\n' });
    expect(readFileSync(join(root, FILE), 'utf8')).toBe(before);
  });

  it('writes where it is told to, under the sysroot', async () => {
    const { root } = await node();
    const { code } = await run(root, undefined, '--out', '/etc/other.yaml');
    expect(code).toBe(0);
    expect(existsSync(join(root, 'etc/other.yaml'))).toBe(true);
    expect(readFileSync(join(root, FILE), 'utf8')).toContain('poll_interval: 1');
  });

  it('says that a machine is no node', async () => {
    const { root } = await node();
    const { code, stderr } = await run(join(root, 'etc'), undefined);
    expect(code).toBe(1);
    expect(stderr).toMatch(/not a Proxmox VE node/);
  });
});
