import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { journalLabel } from '../../src/core/journal-words.ts';
import { exchange } from '../app/http/served.ts';
import { freePort } from '../free-port.ts';
import { NO_SSHD, type SshServer, startSshd } from '../node/ssh/sshd.ts';
import { FIRST_ID, type GroupKeys, GroupUnderTest, groupKeys, SOURCE } from './group-under-test.ts';
import { calm, NodeUnderTest } from './node-under-test.ts';

/** Groups of a node that the program reaches by a real sshd. */

let server: SshServer | undefined;

beforeEach((context) => {
  if (NO_SSHD !== undefined) context.skip(NO_SSHD);
  if (spawnSync('unshare', ['-m', 'true']).status !== 0) context.skip('needs unshare -m');
});
afterEach(() => server?.close());

async function farGroup(keys: GroupKeys = {}, defaults: GroupKeys = {}) {
  const home = await NodeUnderTest.create([calm(301)]);
  const group = await GroupUnderTest.create(keys);
  const far = group.under;
  far.node.start();
  // Behind this sshd the far node's files are where the program looks for those of a node.
  const script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"';
  const before = ['unshare', '-m', 'sh', '-c', script, 'sh', far.root, home.root];
  server = await startSshd({ path: `${far.node.binDirectory}:/usr/bin:/bin`, before });
  const { port, user, identityFile, knownHosts } = server.settings;
  const reached = { connection: 'ssh', host: '127.0.0.1', port, user };
  const node = { ...reached, identity_file: identityFile, known_hosts: knownHosts };
  const configure = (more: GroupKeys = {}): void =>
    home.configure(
      JSON.stringify({
        DEFAULT: {
          poll_interval: 1,
          log_quiet_cycles: 'True',
          scaling_mode: 'observe',
          ...defaults,
        },
        HORIZONTAL_SCALING_GROUP_web: {
          ...groupKeys({ ...keys, ...more }),
          source: `old/${SOURCE}`,
          lxc_containers: [`old/${SOURCE}`],
        },
        NODES: { old: node },
      }),
    );
  configure();
  return { home, group, far, configure, wire: server.wire };
}

const backupsOf = (home: NodeUnderTest, vmid: number): readonly string[] => {
  const directory = join(home.root, `var/lib/lxc_autoscale/backups/nodes/old/${vmid}`);
  return existsSync(directory) ? readdirSync(directory) : [];
};

it('grows under load and shrinks again there, as on the node itself', async () => {
  const { home, group, far } = await farGroup({ scale_in: 'destroy', start_order: 7 });
  const before = far.conf(SOURCE);
  const checked = await home.run(['check-config']);
  expect(checked.stdout).toMatch(/\nThe groups on old:\n\n.*\nweb +101 +101 +2-5 +destroy/);
  expect(checked.stdout).not.toMatch(/Note: /);
  const daemon = home.start(['daemon']);
  await group.until(() => group.inService().length === 2);
  expect(far.conf(FIRST_ID)).toMatch(/^tags: autoscale-group-web$/m);
  expect(far.conf(FIRST_ID)).toMatch(/^net0: .*ip=198\.18\.9\.10\/16/m);
  const explained = await home.run(['explain', 'web']);
  expect(explained.stdout).toMatch(/^Group web on old, 2 to 5 members, made of 101:\n/);
  expect((await home.run(['status'])).stdout).toMatch(/\nweb +old +101 +2 +2 +2-5 +destroy/);
  group.ask(4);
  await group.until(() => group.inService().length >= 3);
  expect((await home.run(['members', '--node', 'old'])).stdout).toMatch(/web +99000 +web-99000/);
  group.ask(0.2);
  await group.until(() => group.members().length === 2 && group.isClean());
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
  expect(group.inService()).toEqual([SOURCE, FIRST_ID]);
  expect(far.conf(SOURCE)).toBe(before);
  expect(home.node.calls).toEqual([]);
  const lines = home.journal().filter(({ group: of }) => of === 'web');
  expect(lines[0]).toMatchObject({ container_id: '99000', proxmox_host: 'old' });
  expect(lines.map(journalLabel)).toContain('Scale In');
  expect(home.log()).toMatch(/old: Group web: cloning container 101 as 99000 .*, since /);
  for (const vmid of [SOURCE, FIRST_ID]) expect(backupsOf(home, vmid)).not.toEqual([]);
});

/** What the far node was told to do, in order, by the first words of each. */
const verbsOf = ({ node }: NodeUnderTest): readonly string[] =>
  node.calls.map(({ argv }) => argv.slice(0, 2).join(' ')).filter((one) => one.startsWith('pct'));

/** Cuts the line while the first such command runs, which goes on there. */
function cutAt({ node }: NodeUnderTest, wire: SshServer['wire'], verb: string): () => boolean {
  let isCut = false;
  node.onCommand(({ argv }) => {
    if (isCut || argv.slice(0, 2).join(' ') !== verb) return undefined;
    isCut = true;
    setTimeout(() => wire.cut(), 50);
    return { kind: 'slow', delayMs: 300 };
  });
  return () => isCut;
}

it.each(['pct snapshot', 'pct clone', 'pct start'])(
  'a line that is cut while %s runs leaves one clone, and nothing half made',
  async (verb) => {
    const { home, group, far, wire } = await farGroup();
    const isCut = cutAt(far, wire, verb);
    const daemon = home.start(['daemon']);
    await group.until(isCut);
    await group.until(() => group.inService().length === 2 && group.isClean());
    expect(home.log()).toMatch(/was under way when the connection to the node ended/);
    // A clone that was ended before it left anything is made anew, once that is certain.
    const clones = verbsOf(far).filter((one) => one === 'pct clone');
    expect(clones.length).toBeLessThanOrEqual(verb === 'pct clone' ? 2 : 1);
    expect(group.members().map(({ vmid }) => vmid)).toEqual([SOURCE, FIRST_ID]);
    daemon.signal('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
  },
);

it('a line that is cut while a clone is destroyed takes nothing else with it', async () => {
  const { home, group, far, wire } = await farGroup({ scale_in: 'destroy', min_instances: 1 });
  group.ask(2);
  const daemon = home.start(['daemon']);
  await group.until(() => group.inService().length === 2 && group.isClean());
  const isCut = cutAt(far, wire, 'pct destroy');
  group.ask(0.2);
  await group.until(isCut);
  await group.until(() => group.members().length === 1 && group.isClean());
  await daemon.cycles(2);
  expect(group.inService()).toEqual([SOURCE]);
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
});

it('a person asks for a member more there, by the API of the program', async () => {
  const port = await freePort();
  const token = 'deploy-token-0123456789';
  const { home, group, far } = await farGroup(
    { min_instances: 1 },
    {
      http_listen: `127.0.0.1:${port}`,
      http_tokens: [{ name: 'deploy', token, role: 'scale' }],
    },
  );
  const daemon = home.start(['daemon']);
  const ask = (method: 'GET' | 'POST', what: string) =>
    exchange(port, method, `/api/v1/groups${what}`, { authorization: `Bearer ${token}` }, {});
  await daemon.cycles(3);
  expect((await ask('POST', '/web/scale-out?dry_run=1')).json).toMatchObject({ group: 'web' });
  expect(verbsOf(far)).toEqual([]);
  expect((await ask('GET', '')).json).toMatchObject({ groups: [{ label: 'web', node: 'old' }] });
  expect((await ask('POST', '/web/scale-out')).status).toBe(200);
  await group.until(() => group.inService().length === 2);
  expect(home.log()).toMatch(/old: Group web: .*api:deploy/);
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
});

it('another container with the id of a clone is left alone, whatever its text says', async () => {
  const { home, group, far, configure } = await farGroup({ scale_in: 'destroy', min_instances: 1 });
  group.ask(2);
  const daemon = home.start(['daemon']);
  await group.until(() => group.inService().length === 2 && group.isClean());
  daemon.signal('SIGTERM');
  await daemon.ended;
  // It has all that a clone has but its volume: that of somebody else has been restored there.
  far.node.editConfig(FIRST_ID, (text) => text.replace(/^rootfs: \S+?,/m, 'rootfs: local:other,'));
  group.ask(0.2);
  configure();
  const again = home.start(['daemon']);
  await again.saying(/old: Group web: 99000 is another container now/);
  await again.cycles(3);
  expect(group.members().map(({ vmid }) => vmid)).toEqual([SOURCE, FIRST_ID]);
  expect(verbsOf(far)).not.toContain('pct destroy');
  again.signal('SIGTERM');
  expect((await again.ended).code).toBe(0);
});

it('while the far cluster has no quorum nothing is begun', async () => {
  const { home, group, far } = await farGroup();
  far.node.setQuorum(false);
  const daemon = home.start(['daemon']);
  await daemon.saying(/old: Group web: nothing is done: /);
  await daemon.cycles(2);
  expect(far.node.calls).toEqual([]);
  far.node.setQuorum(true);
  await group.until(() => group.inService().length === 2);
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
});
