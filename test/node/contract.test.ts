import { openLocalNode } from '../../src/app/local-node.ts';
import { present } from '../../src/core/reading.ts';
import { mib, milliseconds } from '../../src/core/units.ts';
import { createCgroups } from '../../src/node/local/kernel/cgroup-files.ts';
import { createReclaim } from '../../src/node/local/kernel/cgroup-reclaim.ts';
import { createMemoryGuards } from '../../src/node/local/kernel/memory-guards.ts';
import { createMemoryHigh } from '../../src/node/local/kernel/memory-high.ts';
import { createHostView } from '../../src/node/local/kernel/proc-files.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { createGuests } from '../../src/node/local/pve/guests.ts';
import { createPct } from '../../src/node/local/pve/pct.ts';
import { guestText } from '../../src/sim/guest-text.ts';
import type { GuestSpec } from '../../src/sim/machine.ts';
import { SimulatedNode } from '../../src/sim/node.ts';
import { VirtualNode } from '../../src/sim/virtual-node.ts';
import { vmid } from '../core/builders.ts';
import { FakeNode } from '../loop/fake-node.ts';
import { SMALL_HOST } from '../sim/small-host.ts';
import { guestSpec, restNode } from './api/rest-node.ts';
import { type NodeUnderContract, nodeContract, SIGHT_OF_API, worldOf } from './contract.ts';
import { REAL_CLOCK, temporaryDirectory } from './local/world.ts';
import {
  ALL_MACHINES,
  MACHINES,
  type MachinesUnderContract,
  machineContract,
} from './machine-contract.ts';

const guests: readonly GuestSpec[] = [101, 102].map((id) => ({
  vmid: id,
  conf: guestText({ vmid: id, name: `ct${id}`, cores: 2, memoryMib: 1024 }),
  demand: () => ({ cpuCores: 1, anonMib: 100 }),
}));

/** The daemon's own readers and commands, on the files and executables of a node in miniature. */
async function local(): Promise<NodeUnderContract> {
  const node = await SimulatedNode.create({ root: temporaryDirectory(), host: SMALL_HOST, guests });
  const paths = createPaths(node.root);
  const clock = {
    wallMs: () => milliseconds(Date.now()),
    monotonicMs: () => milliseconds(performance.now()),
  };
  const cgroups = createCgroups(paths, clock);
  const environment = { PATH: `${node.binDirectory}:/usr/bin:/bin` };
  return {
    eyes: {
      clock,
      cgroups,
      guests: createGuests(paths),
      observe: async () => {},
      inspect: async () => {},
      host: createHostView(paths, () => present(mib(0))),
    },
    hands: {
      ...createPct({ environment }),
      reclaim: createReclaim(paths, clock),
      memoryHigh: createMemoryHigh(paths, clock),
      memoryGuards: createMemoryGuards(paths),
    },
    world: worldOf(node),
    during: (work) => work,
    async close() {
      cgroups.close();
      await node.close();
    },
  };
}

async function virtual(): Promise<NodeUnderContract> {
  const node = new VirtualNode({ host: SMALL_HOST, guests });
  const freeze = (id: number): void => {
    const container = node.plant.container(id);
    if (container !== undefined) container.frozen = true;
  };
  return {
    eyes: node.world,
    hands: node.world.hands,
    world: {
      start: (id) => node.start(id),
      stop: (id) => node.stop(id),
      freeze,
      leaveBehind: (id) => {
        const life = present({ populated: false, frozen: false });
        node.onSample = (sampled, real) => present(sampled === id ? { ...real, life } : real);
      },
      destroy: (id) => node.machine.remove(id),
      lock: (id) => node.edit(id, { lock: 'backup' }),
      setQuorum: (quorate) => {
        node.machine.quorate = quorate;
      },
      rebalance: () => node.machine.pvestatdPass(),
    },
    during: (work) => node.time.during(work),
    close: async () => {},
  };
}

async function fake(): Promise<NodeUnderContract> {
  const node = new FakeNode();
  for (const id of [101, 102]) node.add(id);
  return {
    eyes: node.world,
    hands: node.world.hands,
    world: {
      start: (id) => {
        const one = node.get(id);
        one.running = true;
        one.identity += 1000;
      },
      stop: (id) => {
        node.get(id).running = false;
      },
      freeze: (id) => {
        node.get(id).life = { frozen: true };
      },
      leaveBehind: (id) => {
        node.get(id).life = { populated: false };
      },
      destroy: (id) => void node.containers.delete(vmid(id)),
      lock: (id) => node.write(id, { lock: 'backup' }),
      setQuorum: (quorate) => {
        node.quorum = present(quorate);
      },
      rebalance: () => node.rebalance(),
    },
    during: (work) => work,
    close: async () => {},
  };
}

async function byApi(): Promise<NodeUnderContract> {
  const rest = await restNode([101, 102].map(guestSpec), true);
  const { node } = rest;
  const { eyes, hands } = rest.apiNode();
  return {
    eyes,
    hands,
    world: worldOf(node),
    during: async (work) => {
      const done = await work;
      rest.time.ms += 10_000;
      return done;
    },
    close: () => rest.close(),
  };
}

async function localMachines(): Promise<MachinesUnderContract> {
  const options = {
    root: temporaryDirectory(),
    host: SMALL_HOST,
    guests,
    vms: MACHINES,
    lockTimeoutMs: 50,
  };
  const node = await SimulatedNode.create(options);
  const env = { PATH: `${node.binDirectory}:/usr/bin:/bin` };
  const output = { stdout: process.stdout, stderr: process.stderr };
  const context = { paths: createPaths(node.root), clock: REAL_CLOCK, env, ...output };
  const { eyes, hands, look, lookAfter, close } = openLocalNode(context, () => undefined);
  lookAfter(ALL_MACHINES);
  return {
    hands,
    node,
    eyes: { ...eyes, observe: look },
    during: (work) => work,
    async close() {
      close();
      await node.close();
    },
  };
}

async function machinesByApi(): Promise<MachinesUnderContract> {
  const rest = await restNode([101, 102].map(guestSpec), true, MACHINES);
  const { eyes, hands, lookAfter } = rest.apiNode();
  lookAfter(ALL_MACHINES);
  return {
    eyes,
    hands,
    node: rest.node,
    async during(work) {
      const done = await work;
      rest.time.ms += 10_000;
      return done;
    },
    close: () => rest.close(),
  };
}

machineContract('the API', machinesByApi, { monitor: false });
nodeContract('the API', byApi, SIGHT_OF_API);
nodeContract('this host', local);
machineContract('this host', localMachines);
nodeContract('of the simulator, without files', virtual);
nodeContract('the double of the tests', fake);
