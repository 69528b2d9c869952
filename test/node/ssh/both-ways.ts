import { openFarNodes } from '../../../src/app/far-nodes.ts';
import type { FarNode } from '../../../src/app/world.ts';
import type { ApiNodeConfig, NodeConfig, SshNodeConfig } from '../../../src/config/model.ts';
import { milliseconds } from '../../../src/core/units.ts';
import { createPaths } from '../../../src/node/local/paths.ts';
import type { Clock } from '../../../src/node/port.ts';
import type { SimulatedNode } from '../../../src/sim/node.ts';
import { RestServer } from '../../../src/sim/rest-server.ts';
import type { VmSpec } from '../../../src/sim/vms.ts';
import { SERVER_TLS } from '../../notify/certificate.ts';
import { ACCOUNTS, FINGERPRINT, TOKEN } from '../api/rest-node.ts';
import { nodeBehindSsh } from './ssh-node.ts';
import type { SshServer } from './sshd.ts';

/** One simulated node behind a real sshd and its REST API, as an entry of `NODES` reaches it. */

export interface NodeBothWays {
  readonly node: SimulatedNode;
  readonly ssh: SshServer;
  readonly rest: RestServer;
  readonly far: FarNode;
  readonly clock: Clock & { skip(ms: number): void };
  /** The API is away: every request is cut off; or there again. */
  cutApi(isCut: boolean): void;
  close(): Promise<void>;
}

export async function nodeBothWays(
  order: readonly ['api' | 'ssh', 'api' | 'ssh'],
  {
    vms = [],
    api = {},
    ssh: bySsh = {},
  }: {
    readonly vms?: readonly VmSpec[];
    readonly api?: Partial<ApiNodeConfig>;
    readonly ssh?: Partial<SshNodeConfig>;
  } = {},
): Promise<NodeBothWays> {
  const { node, server: ssh, close } = await nodeBehindSsh(undefined, vms);
  const rest = await RestServer.listen({ node, tls: SERVER_TLS, accounts: ACCOUNTS, refusalMs: 5 });
  const { host } = ssh.settings;
  const ways = {
    api: {
      connection: 'api',
      name: 'lab',
      node: 'pve1',
      host,
      port: rest.port,
      credentials: TOKEN,
      trust: { kind: 'fingerprint', sha256: FINGERPRINT },
      ...api,
    },
    ssh: { ...ssh.settings, name: 'lab', node: 'pve1', ...bySsh },
  } as const;
  const [first, second] = order;
  const entry: NodeConfig = { ...ways[first], instead: ways[second] };
  let skippedMs = 0;
  const clock = {
    wallMs: () => milliseconds(Date.now() + skippedMs),
    monotonicMs: () => milliseconds(performance.now() + skippedMs),
    skip: (ms: number) => {
      skippedMs += ms;
    },
  };
  const paths = createPaths(node.root);
  const context = { paths, clock, env: process.env };
  const [far] = openFarNodes({ nodes: [entry] }, context, {
    tools: { pause: async () => {} },
  });
  if (far === undefined) throw new Error('there is no node');
  return {
    node,
    ssh,
    rest,
    far,
    clock,
    cutApi: (isCut) => {
      rest.fault = isCut ? () => ({ kind: 'reset', isDone: false }) : undefined;
      rest.closeConnections();
    },
    async close() {
      far.close();
      await rest.close();
      await close();
    },
  };
}
