import { X509Certificate } from 'node:crypto';
import { join } from 'node:path/posix';
import type { HttpRole } from '../config/http-values.ts';
import { milliseconds } from '../core/units.ts';
import { ApiClient, type ApiTools } from '../node/api/client.ts';
import { LOOKS, RULES, SCALES, SCALES_ON_STORAGES } from '../node/api/privileges.ts';
import type { Trust } from '../node/api/trust.ts';
import { mayBelow, mayOnAll } from '../node/api/user-rights.ts';
import { readRegularFile } from '../os/regular-file.ts';
import type { ProcessContext } from './context.ts';
import { toolsOf } from './far-nodes.ts';

/** Users of Proxmox VE, as the node that the program runs on knows them. */

export type ProxmoxUser =
  | {
      readonly kind: 'known';
      /** undefined: it may do nothing here. */
      readonly role: HttpRole | undefined;
      /** What it can be asked by again for two hours, in place of the password. */
      readonly ticket: string;
    }
  /** The password is wrong, or the user is not there (any more). */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'second-factor' }
  /** A sentence that goes on from "The node cannot be asked". */
  | { readonly kind: 'no-answer'; readonly why: string };

/**
 * Asks the node who a user is.
 *
 * @param user `user@realm`
 * @param secret the password, or a ticket of before; kept only while the node is asked
 */
export type AskProxmoxUser = (user: string, secret: string) => Promise<ProxmoxUser>;

/** For all that is asked: a refusal takes 3 s, and whoever logs in here is answered within 10. */
const LIMIT_MS = milliseconds(8000);
const NOT_IN_TIME = `no answer within ${LIMIT_MS / 1000} s`;
const MOST_CERTIFICATE_BYTES = 64 * 1024;
/** pveproxy serves the first of them that is there. */
const CERTIFICATES = ['pveproxy-ssl.pem', 'pve-ssl.pem'];

/** @param hanging why `/etc/pve` cannot be read now */
export function proxmoxUsers(
  { clock, paths }: Pick<ProcessContext, 'clock' | 'paths'>,
  hanging: () => Promise<string | undefined>,
  { port = 8006, tools }: { readonly port?: number; readonly tools?: Partial<ApiTools> } = {},
): AskProxmoxUser {
  return async (user, secret) => {
    const why = await hanging();
    if (why !== undefined) return { kind: 'no-answer', why };
    const client = new ApiClient(
      {
        host: '127.0.0.1',
        port,
        credentials: { kind: 'password', user, password: secret },
        trust: ownCertificate(paths),
        readLimitMs: LIMIT_MS,
        writeLimitMs: LIMIT_MS,
      },
      { ...toolsOf(clock), ...tools },
    );
    try {
      const answer = await client.get('/access/permissions', AbortSignal.timeout(LIMIT_MS));
      if (answer.ok)
        return { kind: 'known', role: roleOf(answer.data), ticket: client.ticket ?? '' };
      if (answer.why === 'second-factor') return { kind: 'second-factor' };
      // 400: no user can be called so.
      if (answer.status === 401 || answer.status === 400) return { kind: 'unknown' };
      const isLate = answer.why === 'stopped';
      return { kind: 'no-answer', why: isLate ? NOT_IN_TIME : answer.message };
    } finally {
      client.close();
    }
  };
}

/** The one certificate that the node itself serves: read each time, since it may be renewed. */
function ownCertificate(paths: ProcessContext['paths']): Trust {
  const directory = join(paths.pveDir, 'nodes', paths.nodeName());
  for (const name of CERTIFICATES) {
    const path = join(directory, name);
    const file = readRegularFile(path, MOST_CERTIFICATE_BYTES);
    if (!file.ok && file.why === 'absent') continue;
    if (!file.ok) return { kind: 'unusable', why: file.detail };
    try {
      return { kind: 'fingerprint', sha256: new X509Certificate(file.value).fingerprint256 };
    } catch {
      return { kind: 'unusable', why: `${path} holds no certificate` };
    }
  }
  return { kind: 'unusable', why: `this host has no certificate of Proxmox VE in ${directory}` };
}

function roleOf(permissions: unknown): HttpRole | undefined {
  const onGuests = (privilege: string): boolean => mayBelow(permissions, '/vms', privilege);
  const onNodes = (privilege: string): boolean => mayBelow(permissions, '/nodes', privilege);
  if (!onGuests(LOOKS.guests) || !onNodes(LOOKS.nodes)) return undefined;
  if (!SCALES.every(onGuests)) return 'read';
  if (!mayBelow(permissions, '/storage', SCALES_ON_STORAGES)) return 'read';
  if (!RULES.guests.every(onGuests)) return 'scale';
  const isAdmin = mayOnAll(permissions, RULES.all) && onNodes(RULES.all);
  return isAdmin ? 'admin' : 'scale';
}
