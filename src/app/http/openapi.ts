import * as z from 'zod/mini';
import { PROBLEM_CODES } from './problem.ts';
import type { Route } from './route.ts';

/** The routes as an OpenAPI file: made of the schemas that requests are checked with. */

interface JsonSchema {
  readonly [key: string]: unknown;
}

const schemaOf = (schema: z.ZodMiniType, io: 'input' | 'output'): JsonSchema => {
  const { $schema: _, ...own } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return own;
};

export function openApi(routes: readonly Route[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const one of routes) {
    const own = paths[one.path] ?? {};
    paths[one.path] = { ...own, [one.method.toLowerCase()]: operation(one) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'lxc-autoscale',
      version,
      description: 'What docs/http-api.md says in words. `x-role` is the least role that may ask.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      schemas: { Problem: PROBLEM },
    },
  };
}

const PROBLEM: JsonSchema = {
  type: 'object',
  required: ['type', 'title', 'status', 'code', 'detail'],
  properties: {
    type: { const: 'about:blank' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { enum: PROBLEM_CODES },
    detail: { type: 'string' },
  },
};

function operation({ method, path, role, summary, query, body, answer }: Route): object {
  const parameters = [...pathParameters(path), ...queryParameters(query)];
  return {
    operationId: operationId(method, path),
    summary: `${summary}.`,
    'x-role': role,
    security: role === 'anyone' ? [] : [{ token: [] }],
    ...(parameters.length > 0 && { parameters }),
    ...(body !== undefined && { requestBody: bodyOf(body) }),
    responses: {
      ...answersOf(path, answer),
      default: {
        description: 'It cannot be met.',
        content: {
          'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } },
        },
      },
    },
  };
}

const operationId = (method: string, path: string): string => {
  const words = path
    .replace('/api/v1/', '')
    .split(/[^A-Za-z0-9]+/)
    .filter(Boolean);
  return [method.toLowerCase(), ...words].join('_');
};

const pathParameters = (path: string): readonly object[] =>
  [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));

function queryParameters(query: z.ZodMiniType | undefined): readonly object[] {
  if (query === undefined) return [];
  const { properties = {}, required = [] } = schemaOf(query, 'input') as {
    readonly properties?: Readonly<Record<string, object>>;
    readonly required?: readonly string[];
  };
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    schema,
  }));
}

const bodyOf = (body: z.ZodMiniType): object => ({
  required: true,
  content: { 'application/json': { schema: schemaOf(body, 'input') } },
});

/** What is neither JSON nor described by a schema, by its address. */
const OTHER_FORMS: Readonly<Record<string, string>> = {
  '/': 'text/html',
  '/index.html': 'text/html',
  '/metrics': 'text/plain',
  '/healthz': 'text/plain',
  '/readyz': 'text/plain',
  '/api/v1/events': 'text/event-stream',
};

function answersOf(path: string, answer: z.ZodMiniType | undefined): object {
  if (path === '/api/v1/logout') return { 204: { description: 'Done.' } };
  const form = OTHER_FORMS[path];
  if (form !== undefined) {
    return { 200: { description: 'As asked for.', content: { [form]: {} } } };
  }
  const schema = answer === undefined ? { type: 'object' } : schemaOf(answer, 'output');
  return { 200: { description: 'As asked for.', content: { 'application/json': { schema } } } };
}
