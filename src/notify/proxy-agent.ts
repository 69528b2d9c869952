import {
  type AgentOptions,
  type ClientRequest,
  request as connectPlainly,
  Agent as HttpAgent,
  type IncomingMessage,
} from 'node:http';
import { request as connectByTls, Agent as HttpsAgent } from 'node:https';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect as startTls } from 'node:tls';

/**
 * Requests through a proxy: a tunnel (CONNECT) to a server that speaks TLS, the whole address to
 * one that does not. Our own, since the packages for this leave the connection to a proxy open that
 * does not answer, whatever becomes of the request.
 * Source: RFC 9110, 9.3.6; RFC 9112, 3.2.2.
 */
export interface ProxyAgent {
  readonly agent: HttpAgent;
  /** What the proxy said where it made no tunnel. */
  refusal(): { readonly status: number; readonly words: string } | undefined;
}

/**
 * @param stop ends what goes on with the proxy
 * @returns undefined if the proxy's address is none that can be used
 */
export function proxyAgent(
  address: string,
  target: URL,
  ca: readonly string[] | undefined,
  stop: AbortSignal,
): ProxyAgent | undefined {
  const proxy = proxyOf(address);
  if (proxy === undefined) return undefined;
  const options = { keepAlive: false, ...(ca !== undefined && { ca: [...ca] }) };
  if (target.protocol !== 'https:') {
    return { agent: new ForwardingAgent(proxy, target, options), refusal: () => undefined };
  }
  const agent = new TunnelAgent(proxy, options, stop);
  return { agent, refusal: () => agent.refusal };
}

function proxyOf(address: string): URL | undefined {
  try {
    const proxy = new URL(address);
    return /^https?:$/.test(proxy.protocol) && proxy.hostname !== '' ? proxy : undefined;
  } catch {
    return undefined;
  }
}

function loginOf({ username, password }: URL): Record<string, string> {
  if (username === '' && password === '') return {};
  const login = `${decoded(username)}:${decoded(password)}`;
  return { 'Proxy-Authorization': `Basic ${Buffer.from(login).toString('base64')}` };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, '');
const portOf = ({ port, protocol }: URL): number =>
  Number(port || (protocol === 'https:' ? 443 : 80));

class TunnelAgent extends HttpsAgent {
  refusal: { readonly status: number; readonly words: string } | undefined;

  constructor(
    private readonly proxy: URL,
    options: AgentOptions,
    private readonly stop: AbortSignal,
  ) {
    super(options);
  }

  /** Node takes the socket from the callback where none is returned. */
  override createConnection(
    options: ConnectionOptions,
    callback: (error: Error | null, socket?: Duplex) => void,
  ): undefined {
    const { host = '', port = 443 } = options;
    const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    const connect = this.proxy.protocol === 'https:' ? connectByTls : connectPlainly;
    const asked: ClientRequest = connect({
      host: hostOf(this.proxy),
      port: portOf(this.proxy),
      method: 'CONNECT',
      path: authority,
      headers: { Host: authority, ...loginOf(this.proxy) },
      agent: false,
      signal: this.stop,
      ...(options.ca !== undefined && { ca: options.ca }),
    });
    const refused = ({ statusCode = 0, statusMessage = '' }: IncomingMessage): void => {
      this.refusal = { status: statusCode, words: statusMessage };
      callback(new Error('the proxy makes no tunnel'));
      asked.destroy();
    };
    asked.once('connect', (response, socket) => {
      if (response.statusCode === 200) callback(null, startTls({ ...options, socket }));
      else refused(response);
    });
    asked.once('response', refused);
    asked.on('error', callback);
    asked.end();
    return undefined;
  }
}

class ForwardingAgent extends HttpAgent {
  constructor(
    private readonly proxy: URL,
    private readonly target: URL,
    options: AgentOptions,
  ) {
    super(options);
  }

  /** Node's own, which its types leave out; called before the head of the request is written. */
  addRequest(request: ClientRequest, options: object): void {
    const { href, hash } = this.target;
    request.path = hash === '' ? href : href.slice(0, -hash.length);
    for (const [name, value] of Object.entries(loginOf(this.proxy))) request.setHeader(name, value);
    const there = { ...options, host: hostOf(this.proxy), port: portOf(this.proxy) };
    const node = HttpAgent.prototype as unknown as { addRequest: ForwardingAgent['addRequest'] };
    node.addRequest.call(this, request, there);
  }
}
