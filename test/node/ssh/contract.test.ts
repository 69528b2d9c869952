import { it } from 'vitest';
import { type NodeUnderContract, nodeContract, worldOf } from '../contract.ts';
import {
  ALL_MACHINES,
  MACHINES,
  type MachinesUnderContract,
  machineContract,
} from '../machine-contract.ts';
import { nodeBehindSsh } from './ssh-node.ts';
import { NO_SSHD } from './sshd.ts';

/** What all backends keep to, by a real sshd. */

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

if (NO_SSHD === undefined) {
  nodeContract('SSH', bySsh);
  machineContract('SSH', machinesBySsh);
} else it('a node (SSH)', (context) => context.skip(NO_SSHD));
