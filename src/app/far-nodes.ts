import { randomInt } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { ApiNodeConfig, Config, WayConfig } from '../config/model.ts';
import type { ClusterSeen } from '../core/found-nodes.ts';
import { present, type Reading } from '../core/reading.ts';
import { type Milliseconds, milliseconds } from '../core/units.ts';
import { createApiNode } from '../node/api/api-node.ts';
import { ApiClient, type ApiTools } from '../node/api/client.ts';
import { ClusterLook } from '../node/api/cluster-look.ts';
import type { Trust } from '../node/api/trust.ts';
import { clusterNodes } from '../node/local/pve/corosync-file.ts';
import type { Clock } from '../node/port.ts';
import { send } from '../os/http-send.ts';
import { leaseFilesIn } from '../os/lease-files.ts';
import { readRegularFile } from '../os/regular-file.ts';
import type { ProcessContext } from './context.ts';
import { openFallback } from './fallback-node.ts';
import { leaseDirectory, mounted, sharedLeaseFiles } from './node-lease.ts';
import { openSshNode } from './ssh-node.ts';
import type { FarLease, FarNode } from './world.ts';

/** The further nodes of a configuration, each by SSH or by the API of its cluster. */

const READ_LIMIT_MS = milliseconds(10_000);
/** As `pct set`, which waits for a lock, and what an overloaded node adds to that. */
const WRITE_LIMIT_MS = milliseconds(40_000);
const MOST_CA_BYTES = 1024 * 1024;

/** How requests are sent and waited for; tests have their own. */
export interface Reaching {
  readonly tools?: Partial<ApiTools>;
  readonly readLimitMs?: Milliseconds;
  readonly writeLimitMs?: Milliseconds;
}

interface SharedLook {
  readonly look: ClusterLook;
  users: number;
}

/** Nodes with the same address and login are of one cluster, and share each look at it. */
export function openFarNodes(
  { nodes }: Pick<Config, 'nodes'>,
  context: Pick<ProcessContext, 'clock' | 'paths' | 'env'>,
  reaching: Reaching = {},
): readonly FarNode[] {
  const clusters = new Map<string, SharedLook>();
  const open = (node: WayConfig): FarNode => {
    if (node.connection === 'ssh') {
      const ssh = openSshNode(node, context, { random });
      return { ...ssh, cluster: { seen: ssh.seesCluster, open } };
    }
    const { host, port, credentials, trust } = node;
    const same = JSON.stringify([host, port, credentials, trust]);
    const shared = clusters.get(same) ?? { look: clusterOf(node, context, reaching), users: 0 };
    clusters.set(same, shared);
    shared.users += 1;
    const { look: cluster } = shared;
    const api = createApiNode(cluster, node.node);
    return {
      ...api,
      name: node.name,
      cluster: { seen: api.cluster, open },
      lease: leaseHere(node.node, context),
      sharedLease: sharedLease(node, context, () => nameIn(api.cluster())),
      problem: () => (cluster.sight.ok ? undefined : cluster.sight.detail),
      connection: () => ({ by: 'api' }),
      close() {
        shared.users -= 1;
        if (shared.users > 0) return;
        clusters.delete(same);
        cluster.client.close();
      },
    };
  };
  return nodes.map((node) => {
    const first = open(node);
    if (node.instead === undefined) return first;
    return openFallback({ first, second: open(node.instead) }, context.clock);
  });
}

/** The API shows no files, but a node of the same cluster has them; nodes join it at any time. */
function leaseHere(
  node: string | undefined,
  { paths }: Pick<ProcessContext, 'paths'>,
): FarLease | undefined {
  if (node === undefined || !clusterNodes(paths).includes(node)) return undefined;
  const files = leaseFilesIn(leaseDirectory(paths.pveDir, node));
  return { files: mounted(files, paths.pveDir), how: 'api' };
}

/** Off the cluster only a directory that is shared shows who scales it. */
function sharedLease(
  { leaseDir, node }: ApiNodeConfig,
  { paths }: Pick<ProcessContext, 'paths'>,
  seenAs: () => Reading<string>,
): FarLease | undefined {
  if (leaseDir === undefined) return undefined;
  const place = paths.at(leaseDir);
  const nameOf = () => (node === undefined ? seenAs() : present(node));
  return { files: sharedLeaseFiles(place, nameOf), how: 'api', place };
}

const nameIn = (seen: Reading<ClusterSeen>): Reading<string> =>
  seen.ok ? present(seen.value.own) : seen;

function clusterOf(
  { host, port, credentials, trust }: ApiNodeConfig,
  { clock, paths }: Pick<ProcessContext, 'clock' | 'paths'>,
  { tools, readLimitMs = READ_LIMIT_MS, writeLimitMs = WRITE_LIMIT_MS }: Reaching,
): ClusterLook {
  const limits = { readLimitMs, writeLimitMs };
  const settings = { host, port, credentials, trust: trustIn(trust, paths), ...limits };
  return new ClusterLook(new ApiClient(settings, { ...toolsOf(clock), ...tools }), clock);
}

function trustIn(trust: ApiNodeConfig['trust'], paths: ProcessContext['paths']): Trust {
  if (trust.kind !== 'file') return trust.kind === 'fingerprint' ? trust : { kind: trust.kind };
  const file = readRegularFile(paths.at(trust.path), MOST_CA_BYTES);
  const pem = file.ok ? file.value.toString('latin1') : '';
  if (pem.includes('-----BEGIN CERTIFICATE-----')) return { kind: 'authority', pem };
  const why = file.ok ? `${trust.path} holds no certificate` : file.detail;
  return { kind: 'unusable', why: `ca_file: ${why}` };
}

const random = (): number => randomInt(1000) / 1000;

export const toolsOf = (clock: Clock): ApiTools => ({
  send,
  random,
  monotonicMs: () => clock.monotonicMs(),
  pause: (ms, stop) => wait(ms, undefined, { signal: stop }).catch(() => {}),
});
