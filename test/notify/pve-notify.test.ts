import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { milliseconds } from '../../src/core/units.ts';
import type { Letter } from '../../src/notify/channel.ts';
import { pveNotify } from '../../src/notify/pve-notify.ts';
import { plant, temporaryDirectory } from '../node/local/world.ts';
import { PVE_MODULES } from './pve-modules.ts';

const NEVER = new AbortController().signal;

const LETTER: Letter = {
  host: 'pve1',
  title: 'lxc-autoscale on pve1: 1 failed "ü" {{text}}',
  text: "first <b>line</b>\nsecond $(id) `id` '\\ \u{1f600}",
  severity: 'error',
  atMs: milliseconds(0),
  time: 'now',
};

const DOWN = 'sub cfs_update { die qq{ipcc_send_rec[1] failed: Connection refused\\n} } 1;\n';

/** A node with the modules that are named, of the tree of Proxmox VE. */
function node(modules: Readonly<Record<string, string>> = PVE_MODULES) {
  const root = temporaryDirectory();
  plant(root, modules);
  mkdirSync(join(root, 'bin'));
  const exec = `exec /usr/bin/perl -I'${root}/lib' "$@"\n`;
  const perl = `#!/bin/sh\nps -o args= -p $$ >>'${root}/ps'\n${exec}`;
  writeFileSync(join(root, 'bin/perl'), perl);
  chmodSync(join(root, 'bin/perl'), 0o755);
  const directory = join(root, 'etc/pve/notification-templates/default');
  const env = { PATH: `${root}/bin:${process.env['PATH']}` };
  const sent = (): readonly Record<string, unknown>[] => {
    const file = join(root, 'sent.jsonl');
    if (!existsSync(file)) return [];
    return readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  };
  return { root, directory, sent, send: () => pveNotify(directory, env).send(LETTER, NEVER) };
}

const TAKEN = { ok: true, said: 'handed over to the notifications of this node' };

describe('a notification of Proxmox VE', () => {
  it('has its severity, its type, and both texts as they are', async () => {
    const one = node();
    expect(await one.send()).toEqual(TAKEN);
    expect(one.sent()).toEqual([
      {
        severity: 'error',
        fields: { type: 'lxc-autoscale', hostname: 'pve1' },
        subject: LETTER.title,
        body: LETTER.text,
      },
    ]);
    // No text of a message is in a list of processes.
    expect(readFileSync(join(one.root, 'ps'), 'utf8')).not.toContain('1 failed');
  });

  it('has templates that an administrator may change, and that stay then', async () => {
    const one = node();
    await one.send();
    const subject = join(one.directory, 'lxc-autoscale-subject.txt.hbs');
    expect(readFileSync(subject, 'utf8')).toBe('{{title}}');
    writeFileSync(subject, '[{{severity}}] {{hostname}}');
    expect(await one.send()).toEqual(TAKEN);
    expect(one.sent()[1]).toMatchObject({ subject: '[error] pve1' });
  });

  it.each([
    ['without Proxmox VE', {}, 'this host has no notifications of Proxmox VE'],
    [
      'before 8.4',
      { ...PVE_MODULES, 'lib/PVE/Notify.pm': 'package PVE::Notify; sub notify { die } 1;\n' },
      'Proxmox VE has notifications of other programs since 8.4',
    ],
    [
      'without the cluster file system',
      { ...PVE_MODULES, 'lib/PVE/Cluster.pm': `package PVE::Cluster;\n${DOWN}` },
      'ipcc_send_rec.1. failed: Connection refused',
    ],
  ])('is not sent %s', async (_why, modules, why) => {
    const one = node(modules);
    expect(await one.send()).toEqual({
      ok: false,
      fault: 'passing',
      said: expect.stringMatching(new RegExp(`^perl failed [(]exit code [0-9]+[)]: ${why}$`)),
    });
    expect(one.sent()).toEqual([]);
    expect(existsSync(one.directory)).toBe(false);
  });

  it('that runs out of time counts as taken, since some targets may have it', async () => {
    const one = node();
    writeFileSync(join(one.root, 'bin/perl'), '#!/bin/sh\nexec sleep 600\n');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const sent = one.send();
      vi.advanceTimersByTime(20_000);
      expect(await sent).toEqual({
        ...TAKEN,
        problem: 'perl failed (it took more than 20 s); some targets may not have it',
      });
    } finally {
      vi.useRealTimers();
    }
  });

  it('is taken, and told as a problem, where a failure is only logged', async () => {
    const one = node();
    writeFileSync(join(one.root, 'broken-target'), '');
    expect(await one.send()).toEqual({
      ...TAKEN,
      problem: 'could not notify via target `mail-to-root`: no such host',
    });
  });
});
