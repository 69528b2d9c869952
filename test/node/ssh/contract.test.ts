import { it } from 'vitest';
import { type NodeUnderContract, nodeContract, worldOf } from '../contract.ts';
import { nodeBehindSsh } from './ssh-node.ts';
import { NO_SSHD } from './sshd.ts';

/** What all backends keep to, by a real sshd. */

async function bySsh(): Promise<NodeUnderContract> {
  const { node, far, close } = await nodeBehindSsh();
  const { eyes, hands } = far;
  return {
    ...{ eyes, hands, close },
    world: worldOf(node),
    during: (work) => work,
  };
}

if (NO_SSHD === undefined) nodeContract('SSH', bySsh);
else it('a node (SSH)', (context) => context.skip(NO_SSHD));
