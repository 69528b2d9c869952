import { it } from 'vitest';
import { type NodeUnderContract, nodeContract } from '../contract.ts';
import { nodeBehindSsh } from './ssh-node.ts';
import { NO_SSHD } from './sshd.ts';

/** What all backends keep to, by a real sshd. */

async function bySsh(): Promise<NodeUnderContract> {
  const { node, far, close } = await nodeBehindSsh();
  const { eyes, hands } = far;
  return {
    ...{ eyes, hands, close },
    world: {
      start: (id) => node.startContainer(id),
      stop: (id) => node.stopContainer(id),
      freeze: (id) => node.setFrozen(id, true),
      leaveBehind: (id) => node.leaveBehind(id),
      destroy: (id) => node.destroyContainer(id),
      lock: (id) => node.setLock(id, 'backup'),
      setQuorum: (quorate) => node.setQuorum(quorate),
      rebalance: () => node.advance(10_000),
    },
    during: (work) => work,
  };
}

if (NO_SSHD === undefined) nodeContract('SSH', bySsh);
else it('a node (SSH)', (context) => context.skip(NO_SSHD));
