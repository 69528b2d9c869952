import * as z from 'zod/mini';
import type { HttpRole } from '../../config/http-values.ts';
import type { Caller, Session } from './access.ts';
import type { HttpService } from './service.ts';

/** A route: all that is said of it. The router and the OpenAPI file are made of these. */

export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** With `{id}` for what varies. */
  readonly path: string;
  /** Who may ask; `anyone`: without a login. */
  readonly role: HttpRole | 'anyone';
  /** A sentence without its full stop. */
  readonly summary: string;
  readonly query?: z.ZodMiniType;
  readonly body?: z.ZodMiniType;
  /** What comes back; undefined: what `shape` of the summary's command prints. */
  readonly answer?: z.ZodMiniType;
  /** An object that JSON can hold, or a whole answer. Throws an `HttpProblem`. */
  readonly run: (asked: Asked) => object | Promise<object>;
}

export interface Asked<Query = unknown, Body = unknown> {
  readonly service: HttpService;
  /** What stands for the `{}` of the path. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Body;
  /** Nobody for a route that asks for no login. */
  readonly who: Caller | undefined;
  readonly session: Session | undefined;
  readonly request: Request;
  /** Of the other end. */
  readonly address: string;
  readonly isSecure: boolean;
  /** The connection lasts until one side ends it; false: too many do so already. */
  readonly stay: () => boolean;
}

type Parsed<S> = S extends z.ZodMiniType<infer T> ? T : undefined;

type Described<Query, Body> = Omit<Route, 'query' | 'body' | 'run'> & {
  readonly query?: Query;
  readonly body?: Body;
  readonly run: (asked: Asked<Parsed<Query>, Parsed<Body>>) => object | Promise<object>;
};

/** A route whose `run` knows the types that its schemas let through. */
export const route = <
  Query extends z.ZodMiniType | undefined = undefined,
  Body extends z.ZodMiniType | undefined = undefined,
>(
  described: Described<Query, Body>,
): Route => described as unknown as Route;

/** A number as it stands in an address. */
export const numberInText = (least: number, most: number, otherwise: number) =>
  z._default(
    z.pipe(
      z.pipe(
        z.string().check(z.regex(/^[0-9]{1,9}$/)),
        z.transform((text: string) => Number(text)),
      ),
      z.number().check(z.gte(least), z.lte(most)),
    ),
    otherwise,
  );
