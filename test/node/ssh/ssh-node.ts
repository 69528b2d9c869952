import { openSshNode } from '../../../src/app/ssh-node.ts';
import type { FarNode } from '../../../src/app/world.ts';
import type { SshNodeConfig } from '../../../src/config/model.ts';
import { createPaths } from '../../../src/node/local/paths.ts';
import type { Clock } from '../../../src/node/port.ts';
import { SimulatedNode } from '../../../src/sim/node.ts';
import type { VmSpec } from '../../../src/sim/vms.ts';
import { PATIENCE_MS } from '../../patience.ts';
import { SMALL_HOST } from '../../sim/small-host.ts';
import { guestSpec } from '../api/rest-node.ts';
import { REAL_CLOCK, temporaryDirectory } from '../local/world.ts';
import { type SshServer, type SshServerOptions, startSshd } from './sshd.ts';

/** A simulated node behind a real sshd. */

export interface NodeBehindSsh {
  readonly node: SimulatedNode;
  readonly server: SshServer;
  readonly far: FarNode;
  /** Another program that reaches the same node. */
  open(settings?: Partial<SshNodeConfig>, lookLimitMs?: number, clock?: Clock): FarNode;
  close(): Promise<void>;
}

/** @param aheadMs its clock goes by so much before that of this host */
export async function nodeBehindSsh(
  forced?: SshServerOptions['forced'],
  vms: readonly VmSpec[] = [],
  aheadMs = 0,
): Promise<NodeBehindSsh> {
  const wallMs = (): number => Date.now() + aheadMs;
  const node = await SimulatedNode.create({
    root: temporaryDirectory(),
    guests: [101, 102].map(guestSpec),
    lockTimeoutMs: 50,
    vms,
    host: SMALL_HOST,
    wallStartS: Math.floor(wallMs() / 1000),
    sharedWallMs: wallMs,
  });
  const path = `${node.binDirectory}:/usr/bin:/bin`;
  const server = await startSshd({ path, ...(forced !== undefined && { forced }) });
  const opened: FarNode[] = [];
  const open: NodeBehindSsh['open'] = (
    settings = {},
    lookLimitMs = PATIENCE_MS,
    clock = REAL_CLOCK,
  ) => {
    const context = { paths: createPaths(node.root), clock, env: process.env };
    const connecting = { random: () => 0, lookLimitMs };
    const far = openSshNode({ ...server.settings, ...settings }, context, connecting);
    opened.push(far);
    return far;
  };
  return {
    node,
    server,
    open,
    far: open(),
    async close() {
      for (const one of opened) one.close();
      await server.close();
      await node.close();
    },
  };
}
