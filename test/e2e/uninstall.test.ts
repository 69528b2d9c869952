import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bytes, milliseconds } from '../../src/core/units.ts';
import { HIGH_DIRECTORY } from '../../src/node/local/kernel/high-file.ts';
import { createMemoryHigh } from '../../src/node/local/kernel/memory-high.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { vmid } from '../core/builders.ts';
import { run } from './booted-tree.ts';
import { BUNDLE, calm, NodeUnderTest } from './node-under-test.ts';

/** The uninstaller beside a simulated node: its script, with its places below a directory. */

const SCRIPT = readFileSync(new URL('../../uninstall.sh', import.meta.url), 'utf8');
const PRERM = new URL('../../tools/deb/prerm', import.meta.url).pathname;
const DEAD = 2 ** 22 + 1;
const ID = vmid(101);

const highOf = ({ root }: NodeUnderTest): string => join(root, 'sys/fs/cgroup/lxc/101/memory.high');

/** As a daemon leaves it that is killed between the proof and `pct set`. */
async function killedInMidChange(under: NodeUnderTest): Promise<string> {
  const before = readFileSync(highOf(under), 'utf8');
  const ms = () => milliseconds(Date.now());
  const high = createMemoryHigh(createPaths(under.root), { wallMs: ms, monotonicMs: ms });
  expect(await high.hold(ID, bytes(640 * 2 ** 20))).toEqual({ kind: 'held' });
  const file = join(under.root, HIGH_DIRECTORY, '101');
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), pid: DEAD }));
  expect(readFileSync(highOf(under), 'utf8')).not.toBe(before);
  return before;
}

/** Lays the installed program and the script into the node's directory; returns the command. */
function installed({ root }: NodeUnderTest, program: string): string {
  const lib = join(root, 'usr/local/lib/lxc_autoscale/current');
  for (const directory of [lib, ...['usr/local/bin', 'run', 'bin'].map((at) => join(root, at))]) {
    mkdirSync(directory, { recursive: true });
  }
  const executable = (path: string, text: string): void => {
    writeFileSync(path, text);
    chmodSync(path, 0o755);
  };
  executable(join(lib, 'lxc-autoscale'), `#!/bin/sh\n${program}\n`);
  symlinkSync(join(lib, 'lxc-autoscale'), join(root, 'usr/local/bin/lxc-autoscale'));
  executable(join(root, 'bin/systemctl'), '#!/bin/sh\nexit 0\n');
  const script = join(root, 'uninstall.sh');
  writeFileSync(script, SCRIPT.replace(/^(readonly \w+=)\//gm, `$1${root}/`));
  return `PATH=${join(root, 'bin')}:$PATH setsid bash ${script}`;
}

const ours = ({ root }: NodeUnderTest): string =>
  `exec ${process.execPath} ${BUNDLE} "$@" --sysroot ${root}`;

describe.skipIf(process.getuid?.() !== 0)('uninstall.sh after a daemon that was killed', () => {
  it.each(['', '--purge --yes'])('puts memory.high back: %j', async (options) => {
    const under = await NodeUnderTest.create([calm(101)]);
    const before = await killedInMidChange(under);
    const outcome = await run('bash', ['-c', `${installed(under, ours(under))} ${options}`]);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toContain('101: memory.high was too low, and is restored.\n');
    expect(readFileSync(highOf(under), 'utf8')).toBe(before);
  });

  it('also with a wrong configuration, and without the cluster file system', async () => {
    const under = await NodeUnderTest.create([calm(101)]);
    const before = await killedInMidChange(under);
    under.configure('DEFAULT: nonsense\n');
    under.node.setCluster(false);
    const outcome = await run('bash', ['-c', installed(under, ours(under))]);
    expect(outcome.code).toBe(0);
    expect(readFileSync(highOf(under), 'utf8')).toBe(before);
  });

  it('takes its block out of the notes of guests', async () => {
    const under = await NodeUnderTest.create([calm(101), calm(102)]);
    const conf = (): string => readFileSync(join(under.root, 'etc/pve/lxc/101.conf'), 'utf8');
    const plain = conf();
    const line = '#lxc-autoscale, 2026-11-30 01%3A50 UTC%3A memory from 1 to 2 MB, since so';
    const block = `#<!-- lxc-autoscale -->\n${line}\n#<!-- /lxc-autoscale -->\n`;
    under.node.editConfig(101, (text) => `#mine\n#\n${block}${text}`);
    under.node.start();
    const path = `export PATH=${under.node.binDirectory}:$PATH`;
    const outcome = await run('bash', ['-c', `${path}; ${installed(under, ours(under))}`]);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toContain('101 (ct101): its last change was removed from its notes.\n');
    expect(conf()).toBe(`#mine\n${plain}`);
  });

  it('says so where the program cannot do it any more', async () => {
    const under = await NodeUnderTest.create([calm(101)]);
    await killedInMidChange(under);
    const outcome = await run('bash', ['-c', installed(under, 'exit 69')]);
    expect(outcome.code).toBe(0);
    expect(outcome.stdout).toMatch(/memory-high,? may be low still; a restart of the container/);
  });

  it('asks nothing of the program where nothing is held', async () => {
    const under = await NodeUnderTest.create([calm(101)]);
    const program = `echo "$1" >>${join(under.root, 'asked')}`;
    const outcome = await run('bash', ['-c', installed(under, program)]);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(readFileSync(join(under.root, 'asked'), 'utf8')).toBe('members\n');
  });

  it('rolls further nodes back too', async () => {
    const under = await NodeUnderTest.create([calm(101)]);
    mkdirSync(join(under.root, 'var/lib/lxc_autoscale/nodes/lab'), { recursive: true });
    const program = `echo "$@" >>${join(under.root, 'asked')}`;
    const outcome = await run('bash', ['-c', `${installed(under, program)} --rollback --yes`]);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(readFileSync(join(under.root, 'asked'), 'utf8')).toBe(
      'rollback --all --to own\nrollback --all --to own --node lab\nmembers\n',
    );
  });

  it('is what the removal of the Debian package does too, and no upgrade', async () => {
    const under = await NodeUnderTest.create([calm(101)]);
    const before = await killedInMidChange(under);
    installed(under, ours(under));
    const held = readFileSync(highOf(under), 'utf8');
    const places = ['bin', 'usr/local/bin'].map((at) => join(under.root, at)).join(':');
    const prerm = (word: string) => run('bash', ['-c', `PATH=${places}:$PATH sh ${PRERM} ${word}`]);
    expect(await prerm('upgrade')).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(readFileSync(highOf(under), 'utf8')).toBe(held);
    expect(await prerm('remove')).toMatchObject({ code: 0, stderr: '' });
    expect(readFileSync(highOf(under), 'utf8')).toBe(before);
  });
});
