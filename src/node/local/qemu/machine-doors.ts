import type { GuestConfig } from '../../../core/observation.ts';
import { present, type Reading } from '../../../core/reading.ts';
import type { Vmid } from '../../../core/units.ts';
import type { Cgroups, Guests } from '../../port.ts';
import type { LocalMachines } from './machine-guests.ts';

/** Containers and virtual machines of a node behind one door: an id is of one kind only. */

/** What the node has of both kinds, by the configurations alone. */
export function configuredGuests(
  containers: Guests,
  machines: LocalMachines,
): ReturnType<Guests['list']> {
  const listed = containers.list();
  return listed.ok ? merged(listed.value, machines.configured()) : listed;
}

export function guestsOfBothKinds(containers: Guests, machines: LocalMachines): Guests {
  return {
    list() {
      const listed = containers.list();
      const others = machines.list();
      return listed.ok && others.size > 0 ? merged(listed.value, others) : listed;
    },
    isMachine: (vmid) => machines.has(vmid),
    read: (vmid) => (machines.has(vmid) ? machines : containers).read(vmid),
    quorum: () => containers.quorum(),
  };
}

type Configs = ReadonlyMap<Vmid, Reading<GuestConfig>>;

const merged = (containers: Configs, machines: Configs): Reading<Configs> =>
  present(new Map([...containers, ...machines]));

export const cgroupsOfBothKinds = (containers: Cgroups, machines: LocalMachines): Cgroups => ({
  sample: (vmid) => (machines.has(vmid) ? machines : containers).sample(vmid),
  cpuLimit: (vmid) => (machines.has(vmid) ? machines.cgroups : containers).cpuLimit(vmid),
  sampledCpuLimit: (vmid) =>
    (machines.has(vmid) ? machines.cgroups : containers).sampledCpuLimit(vmid),
  // A scope has no cpuset, and what a machine can prove is not what a container can.
  capabilities: (vmid) => (machines.has(vmid) ? undefined : containers.capabilities(vmid)),
});
