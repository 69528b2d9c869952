import { it } from 'vitest';
import { type NodeUnderContract, nodeContract, SIGHT_OF_API, worldOf } from '../contract.ts';
import {
  ALL_MACHINES,
  MACHINES,
  type MachinesUnderContract,
  machineContract,
} from '../machine-contract.ts';
import { type NodeBothWays, nodeBothWays } from './both-ways.ts';
import { nodeBehindSsh } from './ssh-node.ts';
import { NO_SSHD } from './sshd.ts';

/** What all backends keep to, by a real sshd, and with the API beside it. */

async function bySsh(): Promise<NodeUnderContract> {
  const { node, far, close } = await nodeBehindSsh();
  const { eyes, hands } = far;
  return {
    eyes,
    hands,
    close,
    world: worldOf(node),
    during: (work) => work,
  };
}

async function machinesBySsh(): Promise<MachinesUnderContract> {
  const { node, far, close } = await nodeBehindSsh(undefined, MACHINES);
  far.lookAfter(ALL_MACHINES);
  return { eyes: far.eyes, hands: far.hands, node, close, during: (work) => work };
}

/** Each look is a while after the one before, so that none is shared. */
const passing =
  ({ clock }: NodeBothWays) =>
  async <T>(work: Promise<T>): Promise<T> => {
    const done = await work;
    clock.skip(10_000);
    return done;
  };

const bothWays = (first: 'api' | 'ssh') => async (): Promise<NodeUnderContract> => {
  const one = await nodeBothWays(['api', 'ssh']);
  one.far.lookAfter(ALL_MACHINES);
  if (first === 'ssh') one.cutApi(true);
  const { eyes, hands } = one.far;
  return { eyes, hands, close: one.close, world: worldOf(one.node), during: passing(one) };
};

async function machinesBothWays(): Promise<MachinesUnderContract> {
  const one = await nodeBothWays(['ssh', 'api'], { vms: MACHINES });
  one.far.lookAfter(ALL_MACHINES);
  const { eyes, hands } = one.far;
  return { eyes, hands, node: one.node, close: one.close, during: passing(one) };
}

if (NO_SSHD === undefined) {
  nodeContract('the API before SSH', bothWays('api'), SIGHT_OF_API);
  nodeContract('SSH in place of the API', bothWays('ssh'));
  machineContract('SSH before the API', machinesBothWays);
  nodeContract('SSH', bySsh);
  machineContract('SSH', machinesBySsh);
} else it('a node (SSH)', (context) => context.skip(NO_SSHD));
