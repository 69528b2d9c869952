import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { backups } from '../../src/cli/backups.ts';
import { parseArguments } from '../../src/cli/command-line.ts';
import { mib } from '../../src/core/units.ts';
import { parseGuestConfig } from '../../src/node/guests/lxc-conf.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import type { BackupPurpose } from '../../src/ports.ts';
import { createBackups } from '../../src/store/config-backups.ts';
import { manualClock, plant, temporaryDirectory, vmid } from '../node/local/world.ts';
import { collecting } from './collecting.ts';

const DIRECTORY = 'var/lib/lxc_autoscale/backups';

function world(yaml = 'DEFAULT: {timezone: Asia/Tokyo}\n') {
  const root = temporaryDirectory();
  plant(root, { 'etc/lxc_autoscale/lxc_autoscale.yaml': yaml });
  const clock = manualClock(Date.UTC(2026, 10, 21, 22, 4, 45, 7));
  const store = createBackups({ directory: join(root, DIRECTORY), node: 'pve1', clock });
  const write = (id: number, text: string, purpose: BackupPurpose): string => {
    const content = Buffer.from(text);
    const config = parseGuestConfig(vmid(id), content);
    if (!config.ok) throw new Error(config.detail);
    const outcome = store.write({ config: config.value, content }, purpose);
    if (!outcome.ok) throw new Error(outcome.message);
    clock.advance(60_000);
    return outcome.path;
  };
  const run = (...argv: string[]) => {
    const parsed = parseArguments(['backups', '--sysroot', root, ...argv]);
    if (parsed.kind !== 'run') throw new Error(parsed.kind);
    const [out, err] = [collecting(), collecting()];
    const around = { paths: createPaths(root), clock, env: {} };
    const code = backups(parsed.arguments, { ...around, stdout: out.stream, stderr: err.stream });
    return { code, stdout: out.text(), stderr: err.text() };
  };
  return { root, write, run };
}

const MORE = '512 -> 1024 MB, since it needs more';
const growth: BackupPurpose = { memoryMib: { from: mib(512), to: mib(1024) }, reason: MORE };
const ID = 'ID'.padEnd(29);
const SHOP = 'hostname: web shop\ncores: 2\nmemory: 512\n';

describe('the table of backups', () => {
  it('has the newest first, in local time, with the id and what it was made for', () => {
    const { write, run } = world();
    const ids = [
      write(101, SHOP, growth),
      write(1002, 'cpulimit: 0.5\nmemory: 64\n', { reason: 'half done' }),
    ].map((path) => path.replace(/.*\/|\.conf$/g, ''));
    expect(run()).toEqual({
      code: 0,
      stderr: '',
      stdout: [
        `VMID  NAME      TIME                 CORES  CPULIMIT  MEMORY MB  ${ID}  MADE FOR`,
        `1002  CT1002    2026-11-22 07:05:45  all    0.5       64         ${ids[1]}  half done`,
        `101   web shop  2026-11-22 07:04:45  2      none      512        ${ids[0]}  ${MORE}`,
        '',
      ].join('\n'),
    });
    expect(run('101').stdout).not.toContain('1002');
  });

  it('marks the first of each guest, and those of another guest than there is now', () => {
    const { root, write, run } = world();
    const device = (last: number) => `net0: name=eth0,hwaddr=BC:24:11:00:00:0${last}\n`;
    const conf = (last: number) =>
      `${SHOP}${device(last)}rootfs: local-lvm:vm-101-disk-0,size=4G\n`;
    for (const last of [1, 1, 2, 2]) write(101, conf(last), growth);
    plant(root, { 'etc/pve/lxc/101.conf': conf(2) });
    const said = run().stdout.split('\n').slice(1, -1);
    expect(said.map((line) => line.replace(/^.*-[0-9a-f]{8} {2}|512 -> .*$/g, ''))).toEqual([
      '',
      'FIRST; ',
      'OTHER GUEST; ',
      'OTHER GUEST; FIRST; ',
    ]);
    const rows: Array<{ sameGuest: unknown; first: unknown }> = JSON.parse(run('--json').stdout);
    expect(rows.map((row) => row.sameGuest)).toEqual([true, true, false, false]);
    expect(rows.map((row) => row.first)).toEqual([false, true, false, true]);
    rmSync(join(root, 'etc/pve/lxc/101.conf'));
    expect(run().stdout).not.toContain('OTHER GUEST');
  });

  it('says where there are none', () => {
    const { run, root, write } = world();
    const directory = join(root, DIRECTORY);
    expect(run()).toEqual({
      code: 0,
      stderr: '',
      stdout: `There are no backups in ${directory}.\n`,
    });
    write(101, SHOP, growth);
    expect(run('102')).toMatchObject({
      code: 0,
      stdout: `There are no backups of guest 102 in ${directory}.\n`,
    });
    expect(run('102', '--json').stdout).toBe('[]\n');
  });

  it('shows what is damaged as such', () => {
    const { write, run } = world();
    const path = write(101, SHOP, growth);
    const id = path.replace(/.*\/|\.conf$/g, '');
    writeFileSync(path.replace('.conf', '.json'), '{"reason"');
    expect(run().stdout).toContain(`${id}  not known: ${id}.json is damaged\n`);
    rmSync(path.replace('.conf', '.json'));
    expect(run().stdout).toContain(`${id}  not known: there is no ${id}.json\n`);
    writeFileSync(path, 'memory: 16\n');
    expect(run()).toMatchObject({ code: 0, stderr: '' });
    expect(run().stdout).toMatch(/-\s+-\s+\S+ {2}NOT USABLE \(.*no longer what was written/);
  });

  it('leaves out a directory that is a link, and says so', () => {
    const { write, run, root } = world();
    write(101, SHOP, growth);
    symlinkSync('101', join(root, DIRECTORY, '102'));
    const { code, stdout, stderr } = run();
    expect(code).toBe(1);
    expect(stdout.split('\n')).toHaveLength(3);
    expect(stderr).toMatch(/^Left out: .*\/102: .*symbolic link, which is not followed\.\n$/);
  });

  it('shows texts of others as harmless text', () => {
    const { write, run } = world();
    const evil = 'a\u001b[2J\u202eb';
    write(101, `hostname: ${evil}\nmemory: 512\n`, { reason: `${evil}\n101 all is well` });
    for (const { stdout } of [run(), run('--json')]) {
      expect(stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f\u202e]/);
    }
    expect(run().stdout.split('\n')).toHaveLength(3);
  });
});

it('as JSON has every field', () => {
  const { write, run } = world();
  const path = write(101, SHOP, growth);
  const rows = JSON.parse(run('--json').stdout);
  expect(rows).toEqual([
    {
      vmid: 101,
      id: path.replace(/.*\/|\.conf$/g, ''),
      path,
      name: 'web shop',
      time: '2026-11-22 07:04:45',
      takenAt: '2026-11-21T22:04:45.007Z',
      cores: 2,
      cpuLimit: null,
      memoryMib: 512,
      madeFor: {
        kind: 'change',
        ...growth,
        own: { cores: 2, cpuLimit: null, memoryMib: 512 },
      },
      sameGuest: null,
      first: false,
    },
  ]);
  writeFileSync(path, '');
  rmSync(path.replace('.conf', '.json'));
  expect(JSON.parse(run('--json').stdout)).toMatchObject([
    { name: null, memoryMib: null, madeFor: null, problem: expect.stringContaining(path) },
  ]);
});

it('a configuration with problems is told, as everywhere', () => {
  const { run } = world('DEFAULT: {backup_dirs: /x}\n');
  expect(run()).toMatchObject({ code: 78, stdout: '', stderr: expect.stringMatching(/did you/) });
});

it('a directory that cannot be read is a failure', () => {
  const { run, root } = world();
  plant(root, { [DIRECTORY]: '' });
  expect(run()).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/^The backups cannot be read: /),
  });
});
