import * as z from 'zod/mini';
import { HTTP_ROLES } from '../../config/http-values.ts';
import { type Access, type Caller, SESSION_COOKIE, SESSION_MS, type Session } from './access.ts';
import type { ProxmoxLogins } from './proxmox-logins.ts';
import { type Asked, type Route, route } from './route.ts';

/** Login and logout of browsers. */

const sessionAnswer = z.object({
  name: z.string(),
  role: z.enum(HTTP_ROLES),
  /** null: of a token, which needs neither. */
  csrf: z.nullable(z.string()),
  expiresAt: z.nullable(z.string()),
});

const loginBody = z.union([
  z.strictObject({ token: z.string().check(z.maxLength(256)) }),
  z.strictObject({ code: z.string().check(z.maxLength(256)) }),
  z.strictObject({
    user: z.string().check(z.maxLength(256)),
    password: z.string().check(z.minLength(1), z.maxLength(256)),
  }),
]);

export const sessionRoutes = (access: Access, users: ProxmoxLogins): readonly Route[] => [
  route({
    method: 'GET',
    path: '/api/v1/login',
    role: 'anyone',
    summary: 'Whether one may log in with a user of Proxmox VE',
    answer: z.object({ proxmox: z.boolean() }),
    run: () => ({ proxmox: users.isOn }),
  }),
  route({
    method: 'POST',
    path: '/api/v1/login',
    role: 'anyone',
    summary: 'Log in: by a token, a user of Proxmox VE, or the code of a link of `dashboard`',
    body: loginBody,
    answer: sessionAnswer,
    run: async (asked) => {
      const caller = await callerOf(asked, access, users);
      // A new one in any case: a cookie that somebody has put there is never logged in.
      const former = cookieOf(asked.request);
      if (former !== undefined) access.end(former);
      const { cookie, session } = access.begin(caller);
      const headers = { 'set-cookie': cookieText(cookie, asked, SESSION_SECONDS) };
      return Response.json(shown(session, asked), { headers });
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/session',
    role: 'read',
    summary: 'Who is logged in',
    answer: sessionAnswer,
    run: (asked) => {
      const { session, who } = asked;
      if (session !== undefined) return shown(session, asked);
      return { name: who?.name, role: who?.role, csrf: null, expiresAt: null };
    },
  }),
  route({
    method: 'POST',
    path: '/api/v1/logout',
    role: 'read',
    summary: 'Log out',
    run: (asked) => {
      access.end(cookieOf(asked.request) ?? '');
      const headers = { 'set-cookie': cookieText('', asked, 0) };
      return new Response(null, { status: 204, headers });
    },
  }),
];

function callerOf(
  { body, address }: Asked<unknown, z.infer<typeof loginBody>>,
  access: Access,
  users: ProxmoxLogins,
): Caller | Promise<Caller> {
  if ('code' in body) return access.byCode(body.code, address);
  if ('token' in body) return access.byToken(body.token, address);
  return users.logIn(body.user, body.password, address);
}

const SESSION_SECONDS = SESSION_MS / 1000;

/** The cookie of the session; undefined if there is none, or more than one. */
export function cookieOf({ headers }: Request): string | undefined {
  const given = (headers.get('cookie') ?? '').split(';').flatMap((part) => {
    const [name, value] = part.trim().split('=', 2);
    return name === SESSION_COOKIE && value !== undefined ? [value] : [];
  });
  return given.length === 1 ? given[0] : undefined;
}

const cookieText = (value: string, { isSecure }: Asked, seconds: number): string =>
  `${SESSION_COOKIE}=${value}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${seconds}` +
  (isSecure ? '; Secure' : '');

function shown({ name, role, csrf, endMs }: Session, { service }: Asked): object {
  const { clock } = service.context;
  const expires = clock.wallMs() + endMs - clock.monotonicMs();
  return { name, role, csrf, expiresAt: new Date(expires).toISOString() };
}
