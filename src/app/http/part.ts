import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hashOfToken, isToken } from '../../config/http-values.ts';
import type { Config } from '../../config/model.ts';
import { cloneLedger } from '../../core/groups/disk-wish.ts';
import { type ListenAddress, showAddress } from '../../core/listen-address.ts';
import type { HttpDoorSettings, HttpListener } from '../../os/http-door.ts';
import { describeError } from '../../os/os-error.ts';
import { readRegularFile } from '../../os/regular-file.ts';
import { isReadByAnyoneElse, whyNotTrusted } from '../../os/trusted-file.ts';
import { ofComponent } from '../../output/component-log.ts';
import type { Log } from '../../ports.ts';
import type { Outputs } from '../outputs.ts';
import type { EndedCycle, Part } from '../part.ts';
import type { KnownToken } from './access.ts';
import type { HttpApp, HttpRules } from './app.ts';
import type { HttpConfig, HttpService } from './service.ts';

/**
 * The page and the API. The listener is opened if the configuration wants one; what answers is
 * loaded with the first request, from a file of its own.
 */
export interface HttpPart extends Required<Part> {
  /** Where the page is, with what logs in once; or `error`, a sentence. */
  loginLink(): Promise<{ readonly url: string } | { readonly error: string }>;
  /** Memory of the host for a guest that is about to run, since somebody has asked for it. */
  readonly comingMib: number;
}

export interface HttpPartOptions {
  readonly service: Omit<HttpService, 'complain' | 'pageFile'>;
  readonly outputs: Pick<Outputs, 'log' | 'listen'>;
  /** Left out: the one beside the program. */
  readonly pageFile?: string;
}

/** What is open now. */
interface Open {
  readonly address: ListenAddress;
  readonly listener: HttpListener & { readonly ok: true };
  /** What the listener was opened with, to be compared. */
  readonly settings: string;
  readonly http: HttpConfig;
}

export const PAGE_FILE = 'lxc-autoscale-web.html';
const MOST_FILE_BYTES = 64 * 1024;

export const httpPart = (options: HttpPartOptions): HttpPart => new Http(options);

class Http implements HttpPart {
  readonly #options: HttpPartOptions;
  readonly #log: Log;
  #rules: HttpRules | undefined;
  #open: Open | undefined;
  #loading: Promise<HttpApp> | undefined;
  #app: HttpApp | undefined;
  /** Whether what a former life has begun was taken in. */
  #hasSettled = false;

  constructor(options: HttpPartOptions) {
    this.#options = options;
    this.#log = ofComponent(options.outputs.log, 'http');
  }

  async apply({ http }: Config): Promise<void> {
    if (http.listen === undefined) return this.#close();
    const { tokens, problems } = readTokens(http, this.#at);
    for (const problem of problems) this.#log.error(problem);
    const { hosts, behindProxy, proxmoxLogin } = http;
    this.#rules = { tokens, hosts, behindProxy, proxmoxLogin, isTls: http.tls !== undefined };
    this.#app?.use(this.#rules);
    const failure = await this.#listen(http, http.listen);
    if (failure !== undefined) this.#log.error(failure);
  }

  get comingMib(): number {
    return this.#app?.comingMib ?? 0;
  }

  cycleBegins(): void {}

  cycleEnded(cycle: EndedCycle): void {
    this.#app?.cycleEnded(cycle);
    const { context, nodes } = this.#options.service;
    const isHome = cycle.node === nodes()[0].open.name;
    if (this.#hasSettled || !isHome || !cycle.result.ok || this.#open === undefined) return;
    this.#hasSettled = true;
    const { paths } = context;
    if (existsSync(paths.ledger(cloneLedger(paths.nodeName())))) void this.#settle();
  }

  async stop(): Promise<void> {
    await this.#app?.end();
    await this.#close();
  }

  /** Clones are on record, and one may have been cut off. */
  async #settle(): Promise<void> {
    try {
      this.#hasSettled = await (await this.#load()).settle();
    } catch (error) {
      this.#complain(`Clones that were begun could not be looked at: ${describeError(error)}`);
    }
  }

  async #close(): Promise<void> {
    this.#app?.stop();
    // What was said last is sent before the connections end.
    if (this.#app !== undefined) await new Promise((resolve) => setImmediate(resolve));
    await this.#open?.listener.close();
    this.#open = undefined;
  }

  async loginLink(): Promise<{ readonly url: string } | { readonly error: string }> {
    if (this.#open === undefined) {
      return { error: 'no page is served; set http_listen in the configuration, and reload' };
    }
    const code = (await this.#load()).newCode();
    return { url: `${this.#placeOf(this.#open)}#login=${code}` };
  }

  readonly #at = (path: string): string => this.#options.service.context.paths.at(path);
  readonly #complain = (message: string): void => this.#log.warn(message);

  /** Returns what is not as it is wanted. */
  async #listen(http: HttpConfig, address: ListenAddress): Promise<string | undefined> {
    const { openHttpDoor, whyNoTls } = await import('../../os/http-door.ts');
    const tls = http.tls && (await readTls(http.tls, this.#at, whyNoTls));
    if (typeof tls === 'string') return this.#withoutTls(http, address, tls);
    const settings = JSON.stringify([address, tls?.cert.toString(), tls?.key.toString()]);
    if (this.#open?.settings === settings) {
      this.#open = { ...this.#open, http };
      return undefined;
    }
    await this.#close();
    const serve: HttpDoorSettings['serve'] = (...visit) => void this.#serve(...visit);
    const listener = await openHttpDoor({ address, tls, complain: this.#complain, serve });
    if (!listener.ok) return notServed(listener.message);
    this.#open = { address, listener, settings, http };
    this.#log.info(`The page and the API are served at ${this.#placeOf(this.#open)}`);
    return undefined;
  }

  /** A listener that speaks TLS there already goes on with what it has; any other one ends. */
  async #withoutTls(http: HttpConfig, address: ListenAddress, why: string): Promise<string> {
    const open = this.#open;
    const isThere = open !== undefined && showAddress(open.address) === showAddress(address);
    if (isThere && open.http.tls !== undefined) {
      this.#open = { ...open, http };
      return `The page and the API are served with the certificate of before: ${why}`;
    }
    await this.#close();
    return notServed(why);
  }

  async #serve(...[incoming, outgoing, visit]: Parameters<HttpDoorSettings['serve']>) {
    try {
      const app = await this.#load();
      await app.serve(incoming, outgoing, visit);
    } catch (error) {
      this.#complain(`A request could not be answered: ${describeError(error)}`);
      outgoing.writeHead(500, { connection: 'close' }).end();
    }
  }

  async #load(): Promise<HttpApp> {
    try {
      this.#loading ??= this.#loadFile();
      return await this.#loading;
    } catch (error) {
      this.#loading = undefined;
      throw error;
    }
  }

  async #loadFile(): Promise<HttpApp> {
    const file = await import('./app.ts');
    if (this.#rules === undefined) throw new Error('nothing is served');
    const { service, outputs, pageFile = join(__dirname, PAGE_FILE) } = this.#options;
    const whole = { ...service, complain: this.#complain, pageFile };
    const app = file.createHttpApp(whole, this.#rules);
    outputs.listen((event, _isWritten, node) => app.recorded(event, node));
    this.#app = app;
    return app;
  }

  /** The address for a browser; one that stands for all of this host is no address of a browser. */
  #placeOf({ address, http }: Open): string {
    const [name] = http.hosts;
    if (http.behindProxy && name !== undefined) return `https://${name}/`;
    const isAll = address.host === '0.0.0.0' || address.host === '::';
    const node = this.#options.service.context.paths.nodeName();
    const host = name ?? (isAll ? node : undefined);
    const where = host === undefined ? showAddress(address) : `${host}:${address.port}`;
    return `${http.tls === undefined ? 'http' : 'https'}://${where}/`;
  }
}

const notServed = (why: string): string => `The page and the API are not served: ${why}`;

type Tls = NonNullable<HttpDoorSettings['tls']>;

/**
 * Certificate and key; a sentence on what is wrong with them.
 *
 * @param whyNot why the two are fit for nothing
 */
async function readTls(
  { cert, key }: NonNullable<HttpConfig['tls']>,
  at: (path: string) => string,
  whyNot: (tls: Tls) => Promise<string | undefined>,
): Promise<Tls | string> {
  try {
    const tls = { cert: readFileSync(at(cert)), key: readFileSync(at(key)) };
    const why = await whyNot(tls);
    return why === undefined ? tls : `${at(cert)} and ${at(key)} cannot be used: ${why}`;
  } catch (error) {
    return describeError(error);
  }
}

/** The tokens, each as its hash; of a file that must not be used, a sentence in place of it. */
function readTokens(
  { tokens }: HttpConfig,
  at: (path: string) => string,
): { readonly tokens: readonly KnownToken[]; readonly problems: readonly string[] } {
  const known: KnownToken[] = [];
  const problems: string[] = [];
  for (const { name, role, secret } of tokens) {
    const sha256 = secret.kind === 'hash' ? secret : hashInFile(at(secret.path));
    if ('problem' in sha256) problems.push(`The token ${name} is not used: ${sha256.problem}`);
    else known.push({ name, role, sha256: sha256.sha256 });
  }
  return { tokens: known, problems };
}

function hashInFile(path: string): { readonly sha256: string } | { readonly problem: string } {
  const untrusted = whyNotTrusted(path);
  if (untrusted !== undefined) return { problem: `${path} ${untrusted}` };
  const file = readRegularFile(path, MOST_FILE_BYTES);
  if (!file.ok) return { problem: file.detail };
  if (isReadByAnyoneElse(path)) {
    return { problem: `others may read ${path}; run: chmod 600 ${path}` };
  }
  const token = file.value.toString('utf8').trim();
  if (isToken(token)) return { sha256: hashOfToken(token) };
  return { problem: `${path} has no token of 16 to 256 characters without blanks` };
}
