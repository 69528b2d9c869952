import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GuestSpec } from '../../src/sim/machine.ts';
import { type NodeOptions, SimulatedNode } from '../../src/sim/node.ts';
import type { Demand, HostSpec } from '../../src/sim/plant.ts';
import { FIXTURE } from './recorded.ts';

/** The node that was recorded, built again: 4 CPUs, 8 GiB, containers 101 to 103. */

export const RECORDED_HOST: HostSpec = {
  cpus: 4,
  memoryMib: 8041,
  swapMib: 0,
  baseCores: 0.2,
  baseMemoryMib: 700,
  pressure: true,
  kernelRelease: '7.3.4',
};

/** 101 as it was in the first recordings. */
export const CONF_101 = `arch: amd64
cores: 2
features: nesting=1
hostname: web1
memory: 512
net0: name=eth0,bridge=vmbr0,gw=10.0.2.2,hwaddr=BC:24:11:60:1F:90,ip=10.0.2.101/24,type=veth
onboot: 1
ostype: debian
rootfs: local-lvm:vm-101-disk-0,size=4G
swap: 512
unprivileged: 1
`;

const DESCRIPTION = `#autoscaled%3A yes
#min=1 max=4
#100%25 %EF%BF%BD%EF%BF%BDn%EF%BF%BD%EF%BF%BDcode%3A a=b
`;

/** 101 as it was from 40-lifecycle on. */
export const CONF_101_TAGGED = `${DESCRIPTION}${CONF_101}`
  .replace('features', 'cpuunits: 10000\nfeatures')
  .replace('swap: 512', 'swap: 256')
  .replace('unprivileged', 'tags: autoscale;prod;web\nunprivileged');

export const fixtureConf = (vmid: number): string =>
  readFileSync(join(FIXTURE, `etc/pve/nodes/pve1/lxc/${vmid}.conf`), 'utf8');

/** 103 after an unknown key was written into it by hand. */
export const conf103WithUnknownKey = (): string =>
  fixtureConf(103)
    .replace('cores: 1\n', 'cores: 1\nfoo: bar\n')
    .replace('memory: 128', 'memory: 192')
    .replace('SIGUSR1\n', 'SIGUSR1\nlxc.signal.halt: SIGUSR1\n');

export interface RecordedState {
  readonly conf101?: string;
  readonly conf103?: string;
}

/** Demand of container 101, which a test may change as it goes. */
export interface ChangingDemand {
  now: Demand;
}

export async function recordedNode(
  root: string,
  state: RecordedState = {},
  options: Partial<NodeOptions> = {},
): Promise<{ node: SimulatedNode; demand: ChangingDemand }> {
  const demand: ChangingDemand = { now: { cpuCores: 0.02, anonMib: 7, fileSetMib: 25 } };
  const quiet = () => ({ cpuCores: 0, anonMib: 0.1, fileSetMib: 3 });
  const guests: GuestSpec[] = [
    { vmid: 101, conf: state.conf101 ?? CONF_101, demand: () => demand.now },
    { vmid: 102, conf: fixtureConf(102), demand: quiet },
    { vmid: 103, conf: state.conf103 ?? fixtureConf(103), demand: quiet, running: false },
  ];
  const base = { root, host: RECORDED_HOST, guests, lockTimeoutMs: 20 };
  const node = await SimulatedNode.create({ ...base, ...options });
  // Where the recorded node had put them.
  node.writeCpuset(101, [0, 1]);
  node.writeCpuset(102, [2]);
  return { node, demand };
}
