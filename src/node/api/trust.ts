import type { Agent as HttpAgent } from 'node:http';
import { Agent, type AgentOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect, rootCertificates } from 'node:tls';

/** Whom we talk to: how the certificate of a node is checked, before anything is sent to it. */

export type Trust =
  /** By an authority that is known anyway. */
  | { readonly kind: 'usual' }
  /** By the authority of these certificates (PEM), such as `/etc/pve/pve-root-ca.pem`, as well. */
  | { readonly kind: 'authority'; readonly pem: string }
  /** It is this one certificate: its SHA-256, 32 bytes in hex with colons, upper case. */
  | { readonly kind: 'fingerprint'; readonly sha256: string }
  /** It cannot be checked, for this reason: nobody is talked to. */
  | { readonly kind: 'unusable'; readonly why: string }
  /** Not at all: whoever is in between reads and changes everything. */
  | { readonly kind: 'none' };

export interface Agents {
  /** Connections are kept for the requests of one cycle; a few at once. */
  readonly forReads: HttpAgent;
  /** A connection each, since a kept one may be closed by the far side as the request leaves. */
  readonly forWrites: HttpAgent;
  close(): void;
}

/** pveproxy closes an idle connection after 5 s; we close it before, so that none is half dead. */
const IDLE_MS = 4000;
/** pveproxy has three workers, and other people want to be answered too. */
export const MOST_AT_ONCE = 3;

export function agentsFor(trust: Trust): Agents {
  const options = optionsOf(trust);
  const make = (more: AgentOptions): Agent =>
    trust.kind === 'fingerprint'
      ? new PinnedAgent({ ...options, ...more }, trust.sha256)
      : new Agent({ ...options, ...more });
  const forReads = make({ keepAlive: true, maxSockets: MOST_AT_ONCE, timeout: IDLE_MS });
  const forWrites = make({ keepAlive: false });
  return {
    forReads,
    forWrites,
    close() {
      forReads.destroy();
      forWrites.destroy();
    },
  };
}

function optionsOf(trust: Trust): AgentOptions {
  switch (trust.kind) {
    case 'usual':
    case 'unusable':
      return {};
    case 'authority':
      return { ca: [...rootCertificates, trust.pem] };
    case 'fingerprint':
    case 'none':
      // The pin is checked below; a session that is taken up again would not be.
      return { rejectUnauthorized: false, maxCachedSessions: 0 };
  }
}

class PinError extends Error {
  readonly code = 'ERR_PINNED_CERTIFICATE';

  constructor(found: string) {
    const check = 'compare it with what `pvenode cert info` shows on the node';
    super(`its certificate has the fingerprint ${found}, not the pinned one; ${check}`);
  }
}

/** Hands a connection out only after its certificate has proven to be the pinned one. */
class PinnedAgent extends Agent {
  constructor(
    options: AgentOptions,
    private readonly sha256: string,
  ) {
    super(options);
  }

  /** Node takes the socket from the callback where none is returned. */
  override createConnection(
    options: ConnectionOptions,
    callback: (error: Error | null, socket?: Duplex) => void,
  ): undefined {
    const socket = connect(options);
    socket.once('error', callback);
    socket.once('secureConnect', () => {
      socket.off('error', callback);
      const found = socket.getPeerCertificate().fingerprint256;
      if (found === this.sha256) {
        callback(null, socket);
        return;
      }
      socket.destroy();
      callback(new PinError(found ?? 'of none'));
    });
    return undefined;
  }
}
