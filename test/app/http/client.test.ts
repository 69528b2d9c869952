import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../../node/local/world.ts';
import { type Answer, type Served, serve, TOKENS } from './served.ts';

/** A client that is made of docs/openapi.json alone drives the whole API. */

interface Schema {
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minimum?: number;
}

interface Operation {
  readonly operationId: string;
  readonly requestBody?: {
    readonly content: Readonly<Record<string, { readonly schema: Schema }>>;
  };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema?: Schema }>> }>
  >;
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: { readonly Problem: Schema } };
}

const document = JSON.parse(readFileSync('docs/openapi.json', 'utf8')) as Document;

type Call = (params: Readonly<Record<string, string>>, body?: object) => Promise<Answer>;

interface Described {
  readonly call: Call;
  readonly operation: Operation;
}

/** A function for each operation, by its id. */
function clientOf(served: Served): ReadonlyMap<string, Described> {
  const calls = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Described] => {
      const call: Call = (params, body) => {
        const filled = path.replace(/\{(\w+)\}/g, (_all, name: string) => params[name] ?? '');
        const headers = { authorization: `Bearer ${TOKENS.admin}` };
        return served.ask(method.toUpperCase(), filled + (params['query'] ?? ''), headers, body);
      };
      return [operation.operationId, { call, operation }];
    }),
  );
  return new Map(calls);
}

/** The least that a schema lets through. */
function example(schema: Schema): unknown {
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum[0];
  if (schema.anyOf?.[0] !== undefined) return example(schema.anyOf[0]);
  if (schema.type === 'object') {
    const { properties = {}, required = [] } = schema;
    return Object.fromEntries(required.map((name) => [name, example(properties[name] ?? {})]));
  }
  if (schema.type === 'string') return '101';
  return schema.minimum ?? 0;
}

const typeOf = (value: unknown): string =>
  value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;

/** Where a value is not as its schema says. */
function misfits(value: unknown, schema: Schema, at = ''): readonly string[] {
  if (schema.anyOf !== undefined) {
    return schema.anyOf.some((one) => misfits(value, one).length === 0) ? [] : [`${at}: none fits`];
  }
  if (schema.enum !== undefined && !schema.enum.includes(value)) return [`${at}: ${value}`];
  const types = [schema.type ?? []].flat().map((one) => (one === 'integer' ? 'number' : one));
  if (types.length > 0 && !types.includes(typeOf(value))) return [`${at}: ${typeOf(value)}`];
  if (Array.isArray(value)) {
    return value.flatMap((one, place) => misfits(one, schema.items ?? {}, `${at}/${place}`));
  }
  const fields = Object(value) as Readonly<Record<string, unknown>>;
  const absent = (schema.required ?? []).filter((name) => fields[name] === undefined);
  const below = Object.entries(schema.properties ?? {}).flatMap(([name, one]) =>
    fields[name] === undefined ? [] : misfits(fields[name], one, `${at}/${name}`),
  );
  return [...absent.map((name) => `${at}/${name}: is not there`), ...below];
}

async function ready(): Promise<Served> {
  const served = await serve('', { root: temporaryDirectory() });
  served.node.add(101, { cores: 2, memoryMib: 1024 as never });
  for (let cycle = 0; cycle < 2; cycle += 1) {
    await served.cycle();
    served.pass(10_000);
  }
  return served;
}

describe('a client made of docs/openapi.json', () => {
  it('gets what is described of every operation, an answer or a problem', async () => {
    const served = await ready();
    const wrong: string[] = [];
    let met = 0;
    for (const [id, { call, operation }] of clientOf(served)) {
      const schema = operation.requestBody?.content['application/json']?.schema;
      const body = schema === undefined ? undefined : (example(schema) as object);
      const { status, json, headers } = await call({ id: '101', name: 'web' }, body);
      const isMet = status < 400;
      const [described] = Object.entries(operation.responses).filter(([code]) =>
        isMet ? code === `${status}` : code === 'default',
      );
      const problem = document.components.schemas.Problem;
      const answer = Object.values(described?.[1].content ?? {})[0]?.schema;
      if (described === undefined) wrong.push(`${id}: ${status} is not described`);
      if (!isMet) wrong.push(...misfits(json, problem).map((one) => `${id}${one}`));
      else if (answer !== undefined) wrong.push(...misfits(json, answer).map((one) => id + one));
      if (!isMet && headers['content-type'] !== 'application/problem+json') wrong.push(id);
      if (isMet) met += 1;
    }
    expect(wrong).toEqual([]);
    expect(met).toBeGreaterThan(25);
  });

  it('changes a guest, undoes it, pauses it, and reads it all back', async () => {
    const client = clientOf(await ready());
    const ask = async (id: string, params: Readonly<Record<string, string>>, body?: object) => {
      const { status, json } = (await client.get(id)?.call(params, body)) ?? {
        status: 0,
        json: {},
      };
      expect([id, status]).toEqual([id, 200]);
      return json;
    };
    const guest = { id: '101' };
    const said = await ask('post_guests_id_cores', { ...guest, query: '?dry_run=1' }, { cores: 4 });
    expect(said).toMatchObject({ outcome: 'dry-run' });
    await ask('post_guests_id_cores', guest, { cores: 4 });
    await ask('post_guests_id_pause', guest, { minutes: 5 });
    await ask('post_guests_id_resume', guest, {});
    expect(await ask('get_guests_id_explain', guest)).toMatchObject({ vmid: 101 });
    expect(await ask('get_status', {})).toMatchObject({ containers: [{ vmid: 101 }] });
    expect(await ask('get_recommendations', {})).toMatchObject({ containers: [] });
    expect(await ask('get_session', {})).toMatchObject({ name: 'admin', role: 'admin' });
  });
});
