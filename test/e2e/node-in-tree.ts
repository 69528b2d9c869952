import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { GuestSpec } from '../../src/sim/machine.ts';
import { SimulatedNode } from '../../src/sim/node.ts';
import type { BootedTree } from './booted-tree.ts';
import { HOST } from './node-under-test.ts';

/**
 * A simulated Proxmox VE node inside of a booted tree. Its files lie in a directory of the tree and
 * are mounted to where they are on a node by a pve-cluster.service, as early as on a node.
 */

const PLACE = 'srv/pve';

const MOUNTS = `#!/bin/bash
set -e
mkdir -p /etc/pve /sys/fs/cgroup/lxc
cd /${PLACE}
for path in etc/pve sys/fs/cgroup/lxc proc/meminfo proc/loadavg proc/stat \\
  proc/pressure/cpu proc/pressure/memory proc/pressure/io sys/devices/system/cpu/online; do
  mount --bind "$path" "/$path"
done
`;

const CLUSTER_UNIT = `[Unit]
Description=The cluster file system of a simulated node

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/mount-node

[Install]
WantedBy=multi-user.target
`;

const PVEVERSION = `#!/bin/sh
echo 'pve-manager/8.4.21/0a4e4a3c1a3b3a2c (running kernel: 6.8.12-4-pve)'
`;

/** Lays the node into a tree that is not booted yet. Its time runs at once. */
export async function layNode(
  tree: BootedTree,
  guests: readonly GuestSpec[],
): Promise<SimulatedNode> {
  const root = join(tree.directory, PLACE);
  const options = { root, host: HOST, guests, tickMs: 200, pvestatdPeriodMs: 1000 };
  const node = await SimulatedNode.create(options);
  // The cluster file system always has it.
  mkdirSync(join(root, 'etc/pve/priv/lock'), { recursive: true });
  node.advance(2000);
  for (const tool of ['pct', 'pvesh']) {
    const words = `/${PLACE}/usr/sbin/.client.cjs /${PLACE}/run/node.sock ${tool}`;
    tree.program(`usr/sbin/${tool}`, `#!/bin/sh\nexec /usr/bin/node ${words} "$@"\n`);
  }
  tree.program('usr/bin/pveversion', PVEVERSION);
  tree.program('usr/local/sbin/mount-node', MOUNTS);
  tree.write('etc/hostname', 'pve1\n');
  tree.write('etc/systemd/system/pve-cluster.service', CLUSTER_UNIT);
  node.start();
  return node;
}

/** What `pct set` was called with so far, without the digest. */
export const setsOf = (node: SimulatedNode): string[] =>
  node.calls
    .filter(({ argv }) => argv[1] === 'set')
    .map(({ argv }) => argv.slice(2, argv.indexOf('--digest')).join(' '));
