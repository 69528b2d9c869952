import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createPaths, isOnNode } from '../../../src/node/local/paths.ts';
import { fc } from '../../fast-check.ts';
import { copyRecordedSysroot, plant, RECORDED_SYSROOT, temporaryDirectory, vmid } from './world.ts';

describe('paths under a sysroot', () => {
  it.each([
    ['/', '/var/log/a.log', '/var/log/a.log'],
    ['/tmp/node', '/var/log/a.log', '/tmp/node/var/log/a.log'],
    ['/tmp/node/', '//var//log/./a.log', '/tmp/node/var/log/a.log'],
    ['/tmp/node', '/../../etc/passwd', '/tmp/node/etc/passwd'],
    ['/tmp/node', '/var/../../../x', '/tmp/node/x'],
    ['/tmp/node', 'var/a', '/tmp/node/var/a'],
  ])('%s: %s is %s', (sysroot, path, expected) => {
    expect(createPaths(sysroot).at(path)).toBe(expected);
  });

  it('never leads out of the sysroot', () => {
    const part = fc.constantFrom('..', '.', '', 'a', 'b c', '...');
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const path = createPaths('/tmp/node').at(`/${parts.join('/')}`);
        expect(`${path}/`.startsWith('/tmp/node/')).toBe(true);
        expect(path.split('/')).not.toContain('..');
      }),
    );
  });

  it('names the kernel files', () => {
    const paths = createPaths('/tmp/node');
    expect(paths.cgroup(vmid(101))).toBe('/tmp/node/sys/fs/cgroup/lxc/101');
    expect(paths.procPressure('memory')).toBe('/tmp/node/proc/pressure/memory');
    expect(paths.vmlist).toBe('/tmp/node/etc/pve/.vmlist');
  });
});

describe('what is kept, with --state', () => {
  const places = {
    '/var/lib/lxc_autoscale/state.json': '/keep/state.json',
    '/var/lib/lxc_autoscale/backups/101': '/keep/backups/101',
    '/var/log/lxc_autoscale.json': '/keep/log/lxc_autoscale.json',
    '/run/lxc_autoscale/lock': '/keep/run/lock',
    '/var/lock/lxc_autoscale.lock': '/keep/run/lxc_autoscale.lock',
  };
  const at = (host: string): string[] =>
    Object.keys(places).map(createPaths(host, undefined, '/keep').at);

  it('lies there, and nothing else does', () => {
    const host = temporaryDirectory();
    expect(at(host)).toEqual(Object.values(places));
    const paths = createPaths(host, undefined, '/keep');
    for (const other of ['/var/lib/lxc_autoscale_2', '/var/log/lxc_autoscale/a', '/etc/pve']) {
      expect(paths.at(other)).toBe(join(host, other));
    }
  });

  it('does not look for /etc/pve, which may hang, where something else tells of a node', () => {
    const host = temporaryDirectory();
    mkdirSync(join(host, 'var/lib/pve-cluster'), { recursive: true });
    const asked: string[] = [];
    const at = (path: string): string => {
      asked.push(path);
      return join(host, path);
    };
    expect(isOnNode(at)).toBe(true);
    expect(asked).not.toContain('/etc/pve');
  });

  it('has the lock and the socket of the host on a node, so that there is one of each', () => {
    const host = temporaryDirectory();
    plant(host, { 'var/lib/pve-cluster/config.db': '' });
    expect(at(host).slice(3)).toEqual([
      join(host, '/run/lxc_autoscale/lock'),
      join(host, '/var/lock/lxc_autoscale.lock'),
    ]);
  });
});

describe('the name of the node', () => {
  it.each([
    ['of the cluster first', { 'etc/pve/.members': '{"nodename":"n1"}', 'etc/hostname': 'h\n' }],
    ['of /etc/hostname without the cluster', { 'etc/hostname': 'n1\n' }],
    ['without its domain', { 'etc/hostname': 'n1.example.org\n' }],
    ['of /etc/hostname, .members broken', { 'etc/pve/.members': '{"no', 'etc/hostname': 'n1' }],
    [
      'of /etc/hostname, that of .members no name',
      { 'etc/pve/.members': '{"nodename":"../../x"}', 'etc/hostname': 'n1' },
    ],
  ])('is taken %s', (_, files) => {
    const root = temporaryDirectory();
    plant(root, files);
    expect(createPaths(root).nodeName()).toBe('n1');
  });

  it('is that of the running system where no file tells it', () => {
    const name = createPaths(temporaryDirectory()).nodeName();
    expect([hostname().split('.')[0], 'localhost']).toContain(name);
  });
});

describe('the directory of the configurations', () => {
  it('is /etc/pve/lxc where that is a link to a directory', () => {
    const root = temporaryDirectory();
    mkdirSync(join(root, 'etc/pve/nodes/n1/lxc'), { recursive: true });
    symlinkSync('nodes/n1/lxc', join(root, 'etc/pve/lxc'));
    expect(createPaths(root).guestDirectory()).toBe(join(root, 'etc/pve/lxc'));
  });

  it.skipIf(!existsSync(RECORDED_SYSROOT))(
    'is found in a tree where the link became a file',
    () => {
      const root = copyRecordedSysroot();
      const path = createPaths(root).guestConfig(vmid(101));
      expect(path).toBe(join(root, 'etc/pve/nodes/pve1/lxc/101.conf'));
      expect(existsSync(path)).toBe(true);
    },
  );
});
