import { describe, expect, it } from 'vitest';
import { version } from '../../../package.json';
import { openApiText } from '../../../tools/docs/routes.ts';
import { type Served, serve, TOKENS } from './served.ts';

/** The OpenAPI file is made of the routes; each of its operations is tried by everybody. */

interface Operation {
  readonly 'x-role': 'anyone' | keyof typeof TOKENS;
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
}

const { paths } = JSON.parse(openApiText(version)) as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
};

const operations = Object.entries(paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    method: method.toUpperCase(),
    path: path.replace(/\{\w+\}/g, '101'),
    role: operation['x-role'],
  })),
);

const RANK = ['read', 'scale', 'admin'] as const;

const OTHERS: readonly (readonly [who: string, authorization: string | undefined])[] = [
  ['nobody', undefined],
  ['a wrong token', 'Bearer wrong-token-0123456789'],
  ['the beginning of a token', `Bearer ${TOKENS.admin.slice(0, -1)}`],
  ['a token and more', `Bearer ${TOKENS.admin}x`],
  ['a token in another scheme', `Basic ${TOKENS.admin}`],
  ['no token', 'Bearer '],
];

async function statusFor(
  served: Served,
  { method, path }: (typeof operations)[number],
  authorization: string | undefined,
): Promise<number> {
  const headers = authorization === undefined ? {} : { authorization };
  const body = method === 'GET' ? undefined : {};
  return (await served.ask(method, path, headers, body)).status;
}

describe('who may ask for what', () => {
  it('is known of every operation', () => {
    expect(operations.length).toBeGreaterThan(40);
    const roles = operations.map(({ role }) => role);
    expect(new Set(roles)).toEqual(new Set(['anyone', ...RANK]));
    const open = operations.filter(({ role }) => role === 'anyone');
    expect(open.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([
      'GET /',
      'GET /api/v1/login',
      'GET /api/v1/openapi.json',
      'GET /index.html',
      'POST /api/v1/login',
    ]);
    const changing = operations.filter(({ method, role }) => method !== 'GET' && role === 'read');
    expect(changing.map(({ path }) => path)).toEqual(['/api/v1/logout']);
  });

  it.each(operations.filter(({ role }) => role !== 'anyone'))(
    '$role: $method $path',
    async (one) => {
      const served = await serve();
      served.node.add(101);
      await served.cycle();
      for (const [who, authorization] of OTHERS) {
        expect([who, await statusFor(served, one, authorization)]).toEqual([who, 401]);
      }
      for (const role of RANK) {
        const isEnough = RANK.indexOf(role) >= RANK.indexOf(one.role as (typeof RANK)[number]);
        const status = await statusFor(served, one, `Bearer ${TOKENS[role]}`);
        expect([role, [401, 403].includes(status)]).toEqual([role, !isEnough]);
        if (!isEnough) expect([role, status]).toEqual([role, 403]);
      }
      expect(served.node.sets).toEqual([]);
    },
  );
});
