import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterEach } from 'vitest';
import { milliseconds } from '../../../src/core/units.ts';
import { type ApiNode, createApiNode } from '../../../src/node/api/api-node.ts';
import { ApiClient, type ApiSettings, type ApiTools } from '../../../src/node/api/client.ts';
import { ClusterLook } from '../../../src/node/api/cluster-look.ts';
import { LEAST_PRIVILEGES as LEAST } from '../../../src/node/api/privileges.ts';
import type { Clock } from '../../../src/node/port.ts';
import { type Send, send } from '../../../src/os/http-send.ts';
import { guestText } from '../../../src/sim/guest-text.ts';
import type { GuestSpec } from '../../../src/sim/machine.ts';
import { SimulatedNode } from '../../../src/sim/node.ts';
import type { Accounts } from '../../../src/sim/rest-access.ts';
import { RestServer } from '../../../src/sim/rest-server.ts';
import type { VmSpec } from '../../../src/sim/vms.ts';
import { AUTHORITY_FILE, SERVER_TLS } from '../../notify/certificate.ts';
import { SMALL_HOST } from '../../sim/small-host.ts';
import { temporaryDirectory } from '../local/world.ts';

/** A simulated node behind its REST API, and clients of it. */

const EVERYTHING = [...LEAST, 'VM.Config.Disk', 'VM.Config.Network', 'VM.Config.Options'];
export const SECRET = 'b5e7c1f0-1111-4222-8333-944445555666';
export const PASSWORD = 'correct horse battery';
export const TOKEN = { kind: 'token', id: 'as@pve!ps', secret: SECRET } as const;
export const LOGIN = { kind: 'password', user: 'as@pve', password: PASSWORD } as const;

export const ACCOUNTS: Accounts = {
  tokens: [
    { id: 'as@pve!ps', secret: SECRET, access: { '/': [...LEAST, 'VM.Config.Options'] } },
    { id: 'root@pam!full', secret: SECRET, access: { '/': EVERYTHING } },
    { id: 'as@pve!noacl', secret: SECRET, access: {} },
    { id: 'as@pve!cpu', secret: SECRET, access: { '/': ['VM.Audit', 'VM.Config.CPU'] } },
  ],
  users: [
    { id: 'as@pve', password: PASSWORD, access: { '/': LEAST } },
    { id: 'two@pve', password: PASSWORD, access: { '/': LEAST }, secondFactor: true },
  ],
};

/** As they were when a real node was asked. */
export const RECORDED_ACCOUNTS: Accounts = {
  ...ACCOUNTS,
  tokens: ACCOUNTS.tokens.map((one) =>
    one.id === TOKEN.id ? { ...one, access: { '/': LEAST } } : one,
  ),
};

export const AUTHORITY = readFileSync(AUTHORITY_FILE, 'utf8');
export const FINGERPRINT = new X509Certificate(SERVER_TLS.cert).fingerprint256;

export const guestSpec = (id: number): GuestSpec => ({
  vmid: id,
  conf: guestText({ vmid: id, name: `ct${id}`, cores: 2, memoryMib: 1024 }),
  demand: () => ({ cpuCores: 1, anonMib: 100 }),
});

/** What a configuration has below the name of the node, with its secret in a variable. */
const entryOf = (port: number): string => `    host: 127.0.0.1
    port: ${port}
    node: pve1
    token_id: ${TOKEN.id}
    token_secret: \${LAB_TOKEN}
    fingerprint: ${FINGERPRINT}
`;

export interface RestNode {
  readonly node: SimulatedNode;
  readonly server: RestServer;
  /** What a configuration has below the name of the node; its secret is `LAB_TOKEN`. */
  readonly entry: string;
  /** Moved by tests; tickets and rests go by it. */
  readonly time: { ms: number };
  /** The pauses between tries, not waited for. */
  readonly pauses: number[];
  client(settings?: Partial<ApiSettings>, sending?: Send): ApiClient;
  /** The node behind the seam. */
  apiNode(settings?: Partial<ApiSettings>): ApiNode;
  /** Several of a cluster. */
  apiNodes(...names: readonly (string | undefined)[]): readonly ApiNode[];
  close(): Promise<void>;
}

export const NEVER = new AbortController().signal;

const open: RestNode[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

/** @param isKept whether whoever asks for it closes it */
export async function restNode(
  guests: readonly GuestSpec[] = [101, 102].map(guestSpec),
  isKept = false,
  vms: readonly VmSpec[] = [],
  accounts = ACCOUNTS,
): Promise<RestNode> {
  const node = await SimulatedNode.create({
    root: temporaryDirectory(),
    guests,
    vms,
    lockTimeoutMs: 50,
    host: SMALL_HOST,
  });
  const time = { ms: 1_000_000 };
  const pauses: number[] = [];
  const server = await RestServer.listen({
    node,
    tls: SERVER_TLS,
    accounts,
    refusalMs: 5,
    nowMs: () => time.ms,
  });
  const { port } = server;
  const clients: ApiClient[] = [];
  const now = () => milliseconds(time.ms);
  const clock: Clock = { wallMs: now, monotonicMs: now };
  const tools: ApiTools = {
    send,
    monotonicMs: now,
    random: () => 0.5,
    // Pauses between tries are not waited for; longer ones end when they are not needed any more.
    async pause(ms, stop) {
      if (ms > 1000) await new Promise((resolve) => stop.addEventListener('abort', resolve));
      else pauses.push(ms);
    },
  };
  const made: RestNode = {
    node,
    server,
    time,
    pauses,
    entry: entryOf(port),
    client(settings = {}, sending = send) {
      const client = new ApiClient(
        {
          host: '127.0.0.1',
          port,
          credentials: TOKEN,
          trust: { kind: 'authority', pem: AUTHORITY },
          readLimitMs: milliseconds(5000),
          writeLimitMs: milliseconds(5000),
          ...settings,
        },
        { ...tools, send: sending },
      );
      clients.push(client);
      return client;
    },
    apiNode: (settings) => createApiNode(new ClusterLook(made.client(settings), clock), 'pve1'),
    apiNodes(...names) {
      const cluster = new ClusterLook(made.client(), clock);
      return names.map((name) => createApiNode(cluster, name));
    },
    async close() {
      for (const client of clients) client.close();
      await server.close();
      await node.close();
    },
  };
  if (!isKept) open.push(made);
  return made;
}
