import { Hono } from 'hono/tiny';
import * as z from 'zod/mini';
import {
  type Access,
  type Caller,
  CSRF_HEADER,
  isSameSecret,
  mayAs,
  type Session,
} from './access.ts';
import { jsonAnswer } from './json-answer.ts';
import { HttpProblem } from './problem.ts';
import type { ProxmoxLogins } from './proxmox-logins.ts';
import type { Asked, Route } from './route.ts';
import type { HttpService } from './service.ts';
import { cookieOf } from './session-routes.ts';

/** The one router: from a request to the route that is meant, for who may take it. */

/** What is known of a request besides what it says itself. */
export interface Visit {
  readonly address: string;
  readonly isSecure: boolean;
  /** Names under which it is reached, in lower case. */
  readonly hosts: readonly string[];
  readonly stay: () => boolean;
}

export type Answerer = (request: Request, visit: Visit) => Promise<Response>;

const STRICT_HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
} as const;
const NO_CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'";

export function createRouter(
  routes: readonly Route[],
  access: Access,
  users: ProxmoxLogins,
  service: HttpService,
): Answerer {
  const app = new Hono<{ Bindings: Visit }>({ strict: true });
  for (const one of routes) {
    app.on(one.method, one.path.replace(/\{(\w+)\}/g, ':$1'), async (context) => {
      const { raw } = context.req;
      const who = await callerOf(one, raw, context.env, access, users);
      const asked: Asked = {
        service,
        ...who,
        request: raw,
        ...context.env,
        params: context.req.param(),
        query: parsed(one.query, queryOf(raw), 'query'),
        body: await bodyOf(one, raw),
      };
      const answer = await one.run(asked);
      return answer instanceof Response ? answer : jsonAnswer(answer, raw);
    });
  }
  const known = routes.map(({ method, path }) => ({
    method,
    path: new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`),
  }));
  app.notFound(({ req }) => {
    const found = known.filter(({ path }) => path.test(req.path)).map(({ method }) => method);
    const detail = `There is no ${req.method} ${req.path}`;
    if (found.length === 0) return problemAnswer(new HttpProblem('no-such-route', detail));
    const allow = found.includes('GET') ? ['HEAD', ...found] : found;
    return problemAnswer(new HttpProblem('other-method', detail, { allow: allow.join(', ') }));
  });
  app.onError((error) => {
    if (error instanceof HttpProblem) return problemAnswer(error);
    service.complain(`A request could not be answered: ${error.message}`);
    const detail = 'This could not be answered; the log says more';
    return problemAnswer(new HttpProblem('internal', detail));
  });
  return async (request, visit) => withHeaders(await app.fetch(request, visit));
}

export const problemAnswer = (problem: HttpProblem): Response =>
  withHeaders(
    new Response(JSON.stringify(problem), {
      status: problem.status,
      headers: {
        ...problem.headers,
        'content-type': 'application/problem+json',
        ...(problem.status === 401 && { 'www-authenticate': 'Bearer' }),
      },
    }),
  );

function withHeaders(response: Response): Response {
  for (const [name, value] of Object.entries(STRICT_HEADERS)) response.headers.set(name, value);
  if (!response.headers.has('content-security-policy')) {
    response.headers.set('content-security-policy', NO_CONTENT_POLICY);
  }
  return response;
}

interface Who {
  readonly who: Caller | undefined;
  readonly session: Session | undefined;
}

/** Who asks, if he may. A cookie counts for a change only together with the text of its page. */
async function callerOf(
  { role, method }: Route,
  request: Request,
  { address, hosts }: Visit,
  access: Access,
  users: ProxmoxLogins,
): Promise<Who> {
  const { headers } = request;
  const isChange = method !== 'GET';
  if (isChange) refuseForeign(headers, hosts);
  if (role === 'anyone') return { who: undefined, session: undefined };
  const { who, session } = await loggedIn(request, address, access, users);
  if (session !== undefined && isChange) {
    if (!isSameSecret(headers.get(CSRF_HEADER) ?? '', session.csrf)) {
      throw new HttpProblem('csrf', `A change needs the header ${CSRF_HEADER} of the session`);
    }
  }
  if (!mayAs(who.role, role)) {
    throw new HttpProblem('role', `This needs the role ${role}; ${who.name} has ${who.role}`);
  }
  return { who, session };
}

async function loggedIn(
  request: Request,
  address: string,
  access: Access,
  users: ProxmoxLogins,
): Promise<{ readonly who: Caller; readonly session: Session | undefined }> {
  const authorization = request.headers.get('authorization');
  if (authorization !== null) {
    const [, token] = /^Bearer +([!-~]+) *$/i.exec(authorization) ?? [];
    return { who: access.byToken(token ?? '', address), session: undefined };
  }
  const session = await users.sessionOf(cookieOf(request) ?? '');
  if (session !== undefined) return { who: session, session };
  throw new HttpProblem('login-needed', 'Log in first, or send Authorization: Bearer TOKEN');
}

/** Browsers say of which page a request is. Only our own may change anything, and log in. */
function refuseForeign(headers: Headers, hosts: readonly string[]): void {
  const origin = headers.get('origin');
  const site = headers.get('sec-fetch-site');
  const from = origin === null ? undefined : urlOf(origin);
  const isOwn =
    origin === null ||
    from?.host === headers.get('host')?.toLowerCase() ||
    hosts.includes(from?.hostname ?? '');
  if (isOwn && (site === null || site === 'same-origin' || site === 'none')) return;
  throw new HttpProblem('foreign-origin', 'This request comes from a page of another address');
}

function urlOf(origin: string): URL | undefined {
  try {
    return new URL(origin);
  } catch {
    return undefined;
  }
}

const queryOf = ({ url }: Request): Readonly<Record<string, string>> => {
  const { searchParams } = new URL(url);
  const names = [...searchParams.keys()];
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  // Whichever counted, somebody would have meant the other one.
  if (twice !== undefined) {
    throw new HttpProblem('wrong-request', `the query has ${twice.slice(0, 40)} more than once`);
  }
  return Object.fromEntries(searchParams);
};

async function bodyOf({ method, body }: Route, request: Request): Promise<unknown> {
  if (method === 'GET') return undefined;
  const text = await request.text();
  if (body === undefined) return undefined;
  const type = request.headers.get('content-type') ?? '';
  if (text !== '' && !/^application\/json\b/i.test(type)) {
    throw new HttpProblem(
      'wrong-request',
      'The body must be JSON (content-type: application/json)',
    );
  }
  return parsed(body, jsonOf(text), 'body');
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text === '' ? '{}' : text);
  } catch {
    throw new HttpProblem('wrong-request', 'The body is no JSON');
  }
}

function parsed(schema: z.ZodMiniType | undefined, given: unknown, what: string): unknown {
  const result = (schema ?? NOTHING).safeParse(given);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const place = issue?.path.length ? `${issue.path.join('.')} of the ${what}` : `the ${what}`;
  throw new HttpProblem('wrong-request', `${place} ${issue ? wrongWords(issue) : 'is wrong'}`);
}

const NOTHING = z.strictObject({});

/** The small form of zod says no more than that something is invalid. */
function wrongWords(issue: z.core.$ZodIssue): string {
  if (issue.message !== UNSAID) return issue.message;
  switch (issue.code) {
    case 'invalid_value':
      return `is missing or not known; allowed: ${issue.values.join(', ')}`;
    case 'invalid_type':
      return issue.expected === 'int'
        ? 'must be a whole number'
        : `must be of the type ${issue.expected}`;
    case 'unrecognized_keys':
      return `has what is not known here: ${issue.keys.join(', ').slice(0, 200)}`;
    case 'too_small':
      return issue.origin === 'string'
        ? `is too short; allowed: from ${issue.minimum} characters`
        : `is too small; allowed: from ${issue.minimum}`;
    case 'too_big':
      return issue.origin === 'string'
        ? `is too long; allowed: up to ${issue.maximum} characters`
        : `is too large; allowed: up to ${issue.maximum}`;
    default:
      return 'is not in the form that it must have';
  }
}

const UNSAID = 'Invalid input';
