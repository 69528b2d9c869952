import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { exchange } from '../app/http/served.ts';
import { freePort } from '../free-port.ts';
import { calm, NodeUnderTest } from './node-under-test.ts';

/** The page and the API of the real daemon, by what a script or a browser sends. */

const TOKEN = 'deploy-token-0123456789';

async function served() {
  const under = await NodeUnderTest.create([calm(101)]);
  const port = await freePort();
  under.configure(
    `DEFAULT:\n  poll_interval: 1\n  http_listen: 127.0.0.1:${port}\n` +
      `  http_tokens: [{name: deploy, token: ${TOKEN}, role: scale}]\n`,
  );
  const daemon = under.start(['daemon']);
  await daemon.cycles(3);
  const authorization = `Bearer ${TOKEN}`;
  const ask = (method: string, path: string, body?: object) =>
    exchange(port, method, path, { authorization }, body);
  return { under, daemon, port, ask };
}

describe('the API of a daemon', () => {
  it('gives a guest cores with backup, read-back and record, and takes them back', async () => {
    const { under, daemon, ask } = await served();
    const before = under.conf(101);
    const { status, json } = await ask('POST', '/api/v1/guests/101/cores', { cores: 4 });
    expect({ status, json }).toMatchObject({
      status: 200,
      json: {
        outcome: expect.stringMatching(/^(pending|confirmed)$/),
        changes: [{ resource: 'cores', before: 2, after: 4 }],
      },
    });
    expect(under.node.limits(101)).toMatchObject({ cores: 4 });
    expect(under.backups(101)).toEqual([before]);
    const [changed] = under.journal().filter((line) => line['event'] === 'change');
    expect(changed).toMatchObject({
      container_id: '101',
      action: 'Increase Cores',
      asked_by: 'api:deploy',
      after: 4,
      backup: json['backup'],
    });
    await daemon.cycles(3);
    expect(under.sets()).toHaveLength(1);

    const back = await ask('POST', '/api/v1/guests/101/rollback', {});
    expect(back).toMatchObject({ status: 200, json: { changes: [{ before: 4, after: 2 }] } });
    expect(under.conf(101)).toBe(before);
    expect(under.journal().at(-1)).toMatchObject({ event: 'rollback', asked_by: 'api:deploy' });
    const { json: history } = await ask('GET', '/api/v1/history?guest=101');
    const told = (history['events'] as { event: string }[]).map(({ event }) => event);
    expect(told.filter((event) => event !== 'confirmed')).toEqual(['rollback', 'change']);
    daemon.signal('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
  });

  it('makes a tier active for an admin, who sees before what would change', async () => {
    const under = await NodeUnderTest.create([calm(101)]);
    const port = await freePort();
    under.configure(
      `DEFAULT:\n  poll_interval: 1\n  http_listen: 127.0.0.1:${port}\n` +
        `  http_tokens: [{name: boss, token: ${TOKEN}, role: admin}]\n` +
        'TIER_calm:\n  lxc_containers: [101]\n  scaling_mode: observe\n',
    );
    const daemon = under.start(['daemon']);
    await daemon.cycles(3);
    const ask = (path: string, body: object) =>
      exchange(port, 'POST', path, { authorization: `Bearer ${TOKEN}` }, body);
    const wish = { mode: 'active', tier: 'TIER_calm' };
    const said = await ask('/api/v1/config/mode?dry_run=1', wish);
    expect(said.json).toMatchObject({
      says: expect.stringMatching(/^TIER_calm -> active\. [01] of 1 observed guests would change/),
      diff: expect.arrayContaining(['-   scaling_mode: observe']),
    });
    const path = join(under.root, 'etc/lxc_autoscale/lxc_autoscale.yaml');
    const file = (): string => readFileSync(path, 'utf8');
    expect(file()).toContain('scaling_mode: observe');
    const unknown = await ask('/api/v1/config/mode', { ...wish, tier: 'TIER_x' });
    expect(unknown.json['detail']).toBe('There is no tier TIER_x; there are TIER_calm');
    const made = await ask('/api/v1/config/mode', wish);
    expect(made).toMatchObject({
      status: 200,
      json: { note: expect.stringMatching(/^What was there is kept as .*\.backup$/) },
    });
    await daemon.saying(/The configuration was reloaded/);
    expect(file()).not.toContain('observe');
    const again = await ask('/api/v1/config/mode', wish);
    expect(again.json).toEqual({ says: 'TIER_calm is active already.', diff: [] });
    daemon.signal('SIGTERM');
    await daemon.ended;
  });

  it('answers what the commands print, and a link of root logs in', async () => {
    const { under, daemon, port, ask } = await served();
    const printed = JSON.parse((await under.run(['status', '--json'])).stdout);
    const { json } = await ask('GET', '/api/v1/status');
    expect(Object.keys(json)).toEqual(Object.keys(printed));
    expect(json['containers']).toMatchObject([{ vmid: 101, name: 'ct101' }]);
    const { stdout, code } = await under.run(['dashboard']);
    expect(code).toBe(0);
    const [, login = ''] = /#login=(\S+)/.exec(stdout) ?? [];
    const session = await exchange(port, 'POST', '/api/v1/login', {}, { code: login });
    expect(session.json).toMatchObject({ name: 'dashboard', role: 'admin' });
    const figures = await ask('GET', '/metrics');
    expect(figures.text).toContain('lxc_autoscale_build_info');
    expect(under.log()).not.toContain(TOKEN);
    daemon.signal('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
  });

  it('is off by default, and the command says how it is switched on', async () => {
    const under = await NodeUnderTest.create([calm(101)]);
    const daemon = under.start(['daemon']);
    await daemon.cycles(1);
    const { code, stderr } = await under.run(['dashboard']);
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('http_listen'),
    });
  });
});

it('the notes of the datacenter have a link to the page if somebody asks for it', async () => {
  const under = await NodeUnderTest.create([calm(101)]);
  const port = await freePort();
  const yaml = `DEFAULT:\n  poll_interval: 1\n  http_listen: 127.0.0.1:${port}\n`;
  under.configure(yaml);
  const { files } = under.node.machine;
  files.notes = '# Ours\n\n100 % <b>ours</b>\n';
  const before = files.notes;
  const daemon = under.start(['daemon']);
  await daemon.cycles(1);
  const alone = await under.run(['dashboard', '--add-note']);
  expect([alone.code, files.notes]).toEqual([1, before]);
  expect(alone.stderr).toContain('can be opened on this host only; set http_hosts');
  under.configure(`${yaml}  http_hosts: [pve.lan]\n`);
  daemon.signal('SIGHUP');
  await daemon.saying('The configuration was reloaded');
  expect((await under.run(['dashboard'])).code).toBe(0);
  expect(files.notes).toBe(before);
  const added = await under.run(['dashboard', '--add-note']);
  expect([added.code, added.stderr]).toEqual([0, '']);
  const line = `[lxc-autoscale on pve1](http://pve.lan:${port}/) <!-- lxc-autoscale pve1 -->`;
  expect(files.notes).toBe(`${before}\n\n${line}\n`);
  expect((await under.run(['dashboard', '--add-note'])).stdout).toContain('are so already');
  const removed = await under.run(['dashboard', '--remove-note']);
  expect(removed.stdout).toBe('The datacenter has no link to the page any more in its notes.\n');
  expect(files.notes).toBe(before);
  under.node.onCommand(({ argv }) =>
    argv[1] === 'set' ? { kind: 'fail', exit: 255, stderr: 'no quorum\n' } : undefined,
  );
  const refused = await under.run(['dashboard', '--add-note']);
  expect([refused.code, files.notes]).toEqual([1, before]);
  expect(refused.stderr).toMatch(/^The notes of the datacenter were not changed: .*no quorum/m);
  // It fails after it was done, or nobody can tell.
  under.node.onCommand(({ argv }) => {
    if (argv[1] !== 'set') return undefined;
    files.notes = `${before}\n\n${line}\n`;
    return { kind: 'fail', exit: 255, stderr: 'got timeout\n' };
  });
  const done = await under.run(['dashboard', '--add-note']);
  expect(done).toMatchObject({ code: 0, stderr: '' });
  let isSet = false;
  under.node.onCommand(({ argv }) => {
    if (argv[1] !== 'set' && !isSet) return undefined;
    isSet = true;
    return { kind: 'fail', exit: 255, stderr: 'got timeout\n' };
  });
  const unknown = await under.run(['dashboard', '--remove-note']);
  expect(unknown.code).toBe(1);
  expect(unknown.stderr).toMatch(/^The notes of the datacenter may have been changed, .*timeout/m);
  expect(unknown.stderr).toMatch(/Look at them: pvesh get \/cluster\/options$/m);
  const both = await under.run(['dashboard', '--add-note', '--remove-note']);
  expect(both.code).toBe(64);
  expect(both.stderr).toContain('--add-note and --remove-note do not go together');
});
