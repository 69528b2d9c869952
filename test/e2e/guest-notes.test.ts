import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { notesIn } from '../../src/core/guest-notes.ts';
import { until } from '../patience.ts';
import { guest, hungry, NodeUnderTest } from './node-under-test.ts';

/** `write_notes`: the last change in the notes of a guest, by the real program. */

const BASE = `DEFAULT:
  poll_interval: 1
  manage_vms: true
  cooldown_seconds: 0
`;
const ON = `${BASE}  write_notes: True\n`;
const OFF = `${BASE}  write_notes: False\n`;
/** As an administrator may have written them by hand, in another form than Proxmox VE does. */
const OWN = '#web: 100% ü\n#%0Aask **Ann**, <b>not</b> Bob';
const TEXT = 'web: 100% ü\n\nask **Ann**, <b>not</b> Bob';
const BLOCK = new RegExp(
  '\\n\\n<!-- lxc-autoscale -->\\nlxc-autoscale, \\S+ \\S+ UTC: memory from 1024 to \\d+ MB, ' +
    'since it uses [^<>]*\\n<!-- /lxc-autoscale -->$',
);

const fileOf = (under: NodeUnderTest, kind: string, vmid: number): string =>
  join(under.root, `etc/pve/nodes/${under.node.machine.options.nodeName}/${kind}/${vmid}.conf`);

const notes = (under: NodeUnderTest, vmid = 101, kind = 'lxc'): string =>
  notesIn(readFileSync(fileOf(under, kind, vmid))) ?? '';

async function noted() {
  const under = await NodeUnderTest.create([hungry(101)]);
  under.node.editConfig(101, (text) => `${OWN}\n${text}`);
  under.configure(ON);
  const daemon = under.start(['daemon']);
  await until(() => notes(under).includes('autoscale'));
  return { under, daemon };
}

it('has the last change, beside text that stays, and loses it without the key', async () => {
  const { under, daemon } = await noted();
  const all = notes(under);
  expect(all.startsWith(TEXT)).toBe(true);
  expect(all.slice(TEXT.length)).toMatch(BLOCK);
  await daemon.saying(/101 \(ct101\) has its last change in its notes\. Backup: /);
  const calls = under.node.calls.filter(({ argv }) => argv[1] === 'set');
  expect(calls[0]?.argv.join(' ')).toMatch(/^pct set 101 --memory \d+ --digest /);
  const [pct, set, id, option, text, digest] = calls[1]?.argv ?? [];
  expect([pct, set, id, option, digest]).toEqual([
    'pct',
    'set',
    '101',
    '--description',
    '--digest',
  ]);
  expect(text).toMatch(BLOCK);

  // A rollback goes to before the change, not to before the note.
  const back = await under.run(['rollback', '101']);
  expect(back).toMatchObject({ code: 0, stdout: expect.stringContaining('1024') });

  under.configure(OFF);
  daemon.signal('SIGHUP');
  await daemon.saying('101 (ct101) no longer has its last change in its notes');
  expect(notes(under)).toBe(TEXT);
});

it('is removed after a restart too, and by release --notes', async () => {
  const { under, daemon } = await noted();
  await daemon.saying('has its last change in its notes');
  await daemon.cycles(1);
  daemon.signal('SIGTERM');
  await daemon.ended;
  const before = readFileSync(fileOf(under, 'lxc', 101), 'utf8');
  const dry = await under.run(['release', '--notes', '--dry-run']);
  expect(dry.stdout).toBe(
    'Container 101 (ct101): its last change would be removed from its notes.\n',
  );
  expect(readFileSync(fileOf(under, 'lxc', 101), 'utf8')).toBe(before);
  expect(await under.run(['release', '--notes'])).toEqual({
    code: 0,
    stderr: '',
    stdout: 'Container 101 (ct101): its last change was removed from its notes.\n',
  });
  expect(notes(under)).toBe(TEXT);

  const broken = fileOf(under, 'lxc', 101);
  rmSync(broken);
  mkdirSync(broken);
  expect(await under.run(['release', '--notes'])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^Guest 101: its notes cannot be read: /),
  });
  rmSync(broken, { recursive: true });

  writeFileSync(fileOf(under, 'lxc', 101), before);
  under.configure(OFF);
  const again = under.start(['daemon']);
  await again.saying('no longer has its last change in its notes');
  expect(notes(under)).toBe(TEXT);
});

it('of a machine leaves nothing pending', async () => {
  const demand = () => ({ cpuCores: 1, anonMib: 1600 });
  const settings = { cores: 4, shares: 0, balloon: 2048 };
  const vms = [{ vmid: 200, memoryMib: 8192, settings, guest: { demand } }];
  const under = await NodeUnderTest.create([], { vms });
  under.node.editVm(200, (text) => `${OWN}\n${text}`);
  under.configure(ON);
  const daemon = under.start(['daemon']);
  await daemon.saying('VM 200 (vm200) has its last change in its notes');
  expect(notes(under, 200, 'qemu-server')).toMatch(
    /Bob\n\n<!-- lxc-autoscale -->\nlxc-autoscale, /,
  );
  expect(readFileSync(fileOf(under, 'qemu-server', 200), 'utf8')).not.toContain('[PENDING]');
  const status = JSON.parse((await under.run(['status', '--json'])).stdout);
  expect(status.containers[0].lastChange.status).toBe('confirmed');
});

it('is not written by a dry run, in observe mode, or where others have half a block', async () => {
  const under = await NodeUnderTest.create([hungry(101)]);
  const half = `${OWN}\n#<!-- lxc-autoscale -->\n`;
  under.node.editConfig(101, (text) => half + text);
  under.configure(`${ON}  mode: observe\n`);
  await under.run(['once']);
  under.configure(ON);
  await under.run(['once', '--dry-run']);
  expect(under.node.calls.filter(({ argv }) => argv[1] === 'set')).toEqual([]);
  const daemon = under.start(['daemon']);
  await daemon.saying(/101 \(ct101\): its last change was not written in its notes: the text betw/);
  await daemon.cycles(2);
  expect(notes(under)).toBe(`${TEXT}\n<!-- lxc-autoscale -->`);
  expect(under.log().match(/was not written in its notes/g)).toHaveLength(1);
  const released = await under.run(['release', '--notes']);
  expect(released).toMatchObject({ code: 1, stdout: '' });
  expect(released.stderr).toMatch(/101 \(ct101\): its notes stay as they are: the text between/);
});

it('does not keep a change from being made if it cannot be written', async () => {
  const under = await NodeUnderTest.create([
    guest(101, { cores: 2, memoryMib: 1024 }, { cpuCores: 1, anonMib: 900 }),
  ]);
  under.node.editConfig(101, (text) => `#${'x'.repeat(8150)}\n${text}`);
  under.configure(ON);
  const daemon = under.start(['daemon']);
  await daemon.saying(/not written in its notes: there is no room left in them: Proxmox VE takes/);
  expect(under.node.limits(101)?.memoryMib).toBeGreaterThan(1024);
  expect(notes(under)).toBe('x'.repeat(8150));
  expect(under.log()).not.toContain('FAILED');
});
