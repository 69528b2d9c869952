import { mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { guestText } from '../../src/sim/guest-text.ts';
import { SimulatedNode } from '../../src/sim/node.ts';

/** So many containers that are in the middle of their bands: there is nothing to change. */
export async function onQuietNode<T>(
  containers: number,
  run: (root: string, node: SimulatedNode) => Promise<T>,
  machines = 0,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-bench-'));
  const root = join(directory, 'node');
  const guests = Array.from({ length: containers }, (_, index) => ({
    vmid: 100 + index,
    conf: guestText({ vmid: 100 + index, name: `ct${index}`, cores: 2, memoryMib: 1024 }),
    demand: () => ({ cpuCores: 1, anonMib: 500 }),
  }));
  const vms = Array.from({ length: machines }, (_, index) => ({
    vmid: 5000 + index,
    memoryMib: 2048,
    settings: { cores: 2, shares: 0, hotplug: 'network,disk,usb,cpu', vcpus: 2 },
    guest: { demand: () => ({ cpuCores: 1, anonMib: 800, fileSetMib: 100 }) },
  }));
  const cpus = Math.max(256, 2 * (containers + machines));
  const memoryMib = Math.max(262_144, 1280 * containers + 2560 * machines);
  const host = {
    cpus,
    memoryMib,
    swapMib: 4096,
    baseCores: 0.1,
    baseMemoryMib: 1024,
    pressure: true,
    kernelRelease: '6.8.12-4-pve',
  };
  const node = await SimulatedNode.create({ root, host, guests, vms, stepMs: 5000 });
  node.advance(2000);
  letSettle(join(root, 'sys/fs/cgroup/lxc'), node.machine.wallS);
  if (machines > 0) letSettle(join(root, 'sys/fs/cgroup/qemu.slice'), node.machine.wallS);
  try {
    return await run(root, node);
  } finally {
    await node.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The cgroups of a node are older than a look at them, so that their files are kept open. */
function letSettle(cgroups: string, wallS: number): void {
  for (const name of readdirSync(cgroups)) utimesSync(join(cgroups, name), wallS - 60, wallS - 60);
}
