/** Requests to the daemon. An expected failure is a value; nothing here throws. */

export type Answer<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: Problem };

export interface Problem {
  /**
   * `away`: no daemon answers. `signed-out`: it wants to know who asks. `starting`: its first cycle
   * is not over. `refused`: it says no, and why.
   */
  readonly kind: 'away' | 'signed-out' | 'starting' | 'refused';
  readonly code: string;
  /** A sentence for people. */
  readonly says: string;
}

/** Who is logged in, and what that person may do. */
export interface Session {
  readonly name: string;
  readonly role: 'read' | 'scale' | 'admin';
  readonly csrf: string;
  readonly expiresAt: string;
}

/** By which somebody logs in. */
export type Proof =
  | { readonly code: string }
  | { readonly token: string }
  /** Of Proxmox VE. */
  | { readonly user: string; readonly password: string };

export interface Api {
  /** @param path below `api/v1/`, relative to the page, so that a path prefix does no harm */
  get<T>(path: string): Promise<Answer<T>>;
  post<T>(path: string, body: object): Promise<Answer<T>>;
  /** Whoever logs in here is who all later requests are for. */
  login(by: Proof): Promise<Answer<Session>>;
  /** undefined: nobody is logged in. */
  session(): Promise<Answer<Session | undefined>>;
  logout(): Promise<Answer<unknown>>;
  /** Calls back whenever an answer says that nobody is logged in any more. */
  onSignedOut(tell: () => void): void;
  /** The time of the daemon, as far as it is known, in milliseconds since 1970. */
  now(): number;
}

/** A daemon that takes longer is away. */
const READ_LIMIT_MS = 15_000;
/** A change by `pct` may take a minute, and so may two weeks of many guests. */
const LONG_LIMIT_MS = 120_000;
const LONG_READ = /^recommendations|\busage\b/;
const BASE = 'api/v1/';
const CSRF_HEADER = 'x-csrf-token';

const AWAY: Problem = { kind: 'away', code: 'away', says: 'The daemon does not answer.' };

export function createApi(): Api {
  let csrf = '';
  let skewMs = 0;
  let tellSignedOut = (): void => {};

  async function send<T>(path: string, init: RequestInit, limitMs: number): Promise<Answer<T>> {
    try {
      const signal = AbortSignal.timeout(limitMs);
      const response = await fetch(BASE + path, { ...init, signal, cache: 'no-store' });
      const date = Date.parse(response.headers.get('date') ?? '');
      if (!Number.isNaN(date)) skewMs = date - Date.now();
      return await answerOf<T>(response);
    } catch {
      return { ok: false, problem: AWAY };
    }
  }

  async function get<T>(path: string): Promise<Answer<T>> {
    const limitMs = LONG_READ.test(path) ? LONG_LIMIT_MS : READ_LIMIT_MS;
    const answer = await send<T>(path, {}, limitMs);
    if (!answer.ok && answer.problem.kind === 'signed-out') tellSignedOut();
    return answer;
  }

  async function post<T>(path: string, body: object): Promise<Answer<T>> {
    const headers = { 'content-type': 'application/json', [CSRF_HEADER]: csrf };
    const init = { method: 'POST', headers, body: JSON.stringify(body) };
    return await send<T>(path, init, LONG_LIMIT_MS);
  }

  function remember(answer: Answer<Session>): Answer<Session> {
    if (answer.ok) csrf = answer.value.csrf;
    return answer;
  }

  async function session(): Promise<Answer<Session | undefined>> {
    const answer = remember(await send<Session>('session', {}, READ_LIMIT_MS));
    const isNobody = !answer.ok && answer.problem.kind === 'signed-out';
    return isNobody ? { ok: true, value: undefined } : answer;
  }

  /** Another window of this browser may have logged in anew: its session is that of all windows. */
  async function change<T>(path: string, body: object): Promise<Answer<T>> {
    const first = await post<T>(path, body);
    const isOfBefore = !first.ok && first.problem.code === 'csrf' && (await session()).ok;
    const answer = isOfBefore ? await post<T>(path, body) : first;
    if (!answer.ok && answer.problem.kind === 'signed-out') tellSignedOut();
    return answer;
  }

  return {
    get,
    post: change,
    login: async (by) => remember(await post<Session>('login', by)),
    session,
    logout: () => change('logout', {}),
    onSignedOut(tell) {
      tellSignedOut = tell;
    },
    now: () => Date.now() + skewMs,
  };
}

/** For what is asked of one of several nodes; undefined: there is only one. */
export function ofNode(api: Api, node: string | undefined): Api {
  if (node === undefined) return api;
  const at = (path: string): string =>
    `${path}${path.includes('?') ? '&' : '?'}node=${encodeURIComponent(node)}`;
  return {
    ...api,
    get: (path) => api.get(at(path)),
    post: (path, body) => api.post(at(path), body),
  };
}

async function answerOf<T>(response: Response): Promise<Answer<T>> {
  if (response.status === 204) return { ok: true, value: undefined as T };
  const body: unknown = await response.json().catch(() => undefined);
  if (response.ok && body !== undefined) return { ok: true, value: body as T };
  return { ok: false, problem: problemOf(response.status, body) };
}

/** A proxy in between says with these that what is behind it is away. */
const BY_A_PROXY: ReadonlySet<number> = new Set([502, 503, 504]);

export function problemOf(status: number, body: unknown): Problem {
  const said = typeof body === 'object' && body !== null ? body : {};
  const code = 'code' in said && typeof said.code === 'string' ? said.code : undefined;
  const detail = 'detail' in said && typeof said.detail === 'string' ? said.detail : undefined;
  if (code === undefined && (BY_A_PROXY.has(status) || status < 300)) return AWAY;
  const says = detail ?? `The daemon answers with status ${status}.`;
  const isLogin = code === 'login-needed' || (code === undefined && status === 401);
  if (isLogin) return { kind: 'signed-out', code: 'login-needed', says };
  if (code === 'starting') return { kind: 'starting', code, says };
  return { kind: 'refused', code: code ?? `${status}`, says };
}
