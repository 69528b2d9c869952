import { request } from 'node:http';
import { PassThrough } from 'node:stream';
import { afterEach } from 'vitest';
import type { DaemonState } from '../../../src/app/control-answer.ts';
import { type HttpPart, type HttpPartOptions, httpPart } from '../../../src/app/http/part.ts';
import { settingsOf } from '../../../src/app/loop-settings.ts';
import { afterSwitch } from '../../../src/app/mode-switch.ts';
import { NodeLoop } from '../../../src/app/node-loop.ts';
import type { JournalListener } from '../../../src/app/outputs.ts';
import { Turn } from '../../../src/app/turn.ts';
import type { OpenWorld } from '../../../src/app/world.ts';
import { parseConfig } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/model.ts';
import { newLoopState } from '../../../src/core/loop-state.ts';
import { HEALTH_FORMAT } from '../../../src/core/report/health.ts';
import { createPaths } from '../../../src/node/local/paths.ts';
import { newTally } from '../../../src/output/tally.ts';
import { freePort } from '../../free-port.ts';
import { FakeNode } from '../../loop/fake-node.ts';

/** The page and the API on a real listener, in front of a node that only exists in memory. */

export const TOKENS = {
  read: 'read-token-0123456789',
  scale: 'scale-token-0123456789',
  admin: 'admin-token-0123456789',
} as const;

const open: Array<() => Promise<void>> = [];

afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The text as JSON; an empty object for any other text. */
  readonly json: Readonly<Record<string, unknown>>;
}

export interface Served {
  readonly node: FakeNode;
  readonly loop: NodeLoop;
  readonly part: HttpPart;
  readonly port: number;
  /** How often a reload was asked for. */
  readonly reloads: () => number;
  readonly heard: readonly JournalListener[];
  readonly root: string;
  ask(method: string, path: string, headers?: Headers, body?: unknown): Promise<Answer>;
  as(role: keyof typeof TOKENS, method: string, path: string, body?: unknown): Promise<Answer>;
  /** Lets so much time pass. */
  pass(ms: number): void;
  apply(yaml: string): Promise<void>;
  cycle(): Promise<void>;
  /** Has its turn taken by a work that lasts so long. */
  during(work: () => Promise<void>): Promise<void>;
  /** How many requests have got in line for a turn. */
  readonly inLine: () => number;
  /** Another node of the same daemon. */
  beside(loop: NodeLoop): void;
}

type Headers = Readonly<Record<string, string>>;

const NO_STOP = new AbortController().signal;

export const tokensYaml = Object.entries(TOKENS)
  .map(([role, token]) => `{name: ${role}, token: ${token}, role: ${role}}`)
  .join(', ');

export function configOf(yaml: string): Config {
  const loaded = parseConfig(`DEFAULT:\n${yaml}`, 'f.yaml', {});
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded.config;
}

type AskGroup = HttpPartOptions['service']['askGroup'];

export interface ServeOptions {
  readonly pageFile?: string;
  readonly name?: string;
  readonly askGroup?: AskGroup;
  /** Of the files that are read. */
  readonly root?: string;
  /** In place of what the daemon would do. */
  readonly service?: Partial<HttpPartOptions['service']>;
}

const NO_GROUPS: AskGroup = async () => undefined;

/** @param more further lines of `DEFAULT`, indented */
export async function serve(
  more = '',
  {
    pageFile = '/nowhere',
    name = 'pve1',
    askGroup = NO_GROUPS,
    root = '/',
    service: own,
  }: ServeOptions = {},
): Promise<Served> {
  const node = new FakeNode();
  const port = await freePort();
  const yaml = (own: string): string =>
    `  http_listen: 127.0.0.1:${port}\n  http_tokens: [${tokensYaml}]\n${own}`;
  const config = configOf(yaml(more));
  const world = {
    ...node.world,
    holds: {
      read: node.world.holds.read,
      write: (...[id, hold]: Parameters<typeof node.world.holds.write>) => {
        node.holds.set(id, hold);
        return { ok: true } as const;
      },
    },
  };
  const opened: OpenWorld = {
    name,
    below: '',
    world,
    tally: newTally(),
    hanging: () => undefined,
    reconfigure: () => {},
    close: async () => {},
  };
  const keeper = { state: newLoopState(), save: () => undefined, saveWhenDue: () => {} };
  const loop = new NodeLoop({
    open: opened,
    keeper,
    config,
    settingsOf: (each) => settingsOf(each, { dryRun: false }),
  });
  const heard: JournalListener[] = [];
  let reloads = 0;
  const loops: [NodeLoop, ...NodeLoop[]] = [loop];
  const turn = new Turn();
  let inLine = 0;
  const service: HttpPartOptions['service'] = {
    ...serviceOf(loops, root),
    askGroup,
    inTurn: (_node, work) => {
      inLine += 1;
      return turn.take(() => work(NO_STOP));
    },
    reload: () => {
      reloads += 1;
    },
    ...own,
  };
  const outputs = { log: world.log, listen: (one: JournalListener) => void heard.push(one) };
  const part = httpPart({ service, outputs, pageFile });
  open.push(() => part.stop());
  await part.apply(config);
  const ask: Served['ask'] = (...[method, path, headers = {}, body]) =>
    exchange(port, method, path, headers, body);
  return {
    node,
    loop,
    part,
    port,
    heard,
    root,
    ask,
    reloads: () => reloads,
    as: (role, method, path, body) =>
      ask(method, path, { authorization: `Bearer ${TOKENS[role]}` }, body),
    pass: (ms) => node.pass(ms),
    apply: (own) => part.apply(configOf(own.includes('http_listen') ? own : yaml(own))),
    cycle: async () => {
      const ended = await loop.cycle(NO_STOP);
      if (ended !== undefined) part.cycleEnded(ended);
    },
    beside: (other) => void loops.push(other),
    during: (work) => turn.take(work),
    inLine: () => inLine,
  };
}

function serviceOf(
  loops: [NodeLoop, ...NodeLoop[]],
  root: string,
): Omit<HttpPartOptions['service'], 'inTurn' | 'reload' | 'askGroup'> {
  const [loop] = loops;
  const known = (): DaemonState => {
    const { view, settings, state, open: opened, world } = loop;
    const about = { node: opened.name, from: 'daemon', timezone: 'UTC' } as const;
    return { ...about, view, settings, state, nowMs: world.clock.monotonicMs(), groups: [] };
  };
  const { clock } = loop.world;
  const out = new PassThrough().resume();
  return {
    context: { paths: createPaths(root), clock, env: {}, stdout: out, stderr: out },
    nodes: () => loops,
    known: () => [known()],
    health: async () => ({ format: HEALTH_FORMAT, healthy: true, checks: [] }),
    figures: async (path) => ({ status: 200, type: 'text/plain', body: `${path}\n` }),
    change: (one, wanted, dryRun) =>
      one.askedCycle({ wanted, dryRun, stop: NO_STOP, watched: (cycle) => cycle() }),
    groupMemoryMib: () => 0,
    modeSwitch: () => ({ file: FILE, besides: [], kind: 'refused', why: 'there is no file' }),
    proxmoxUser: async () => ({ kind: 'unknown' }),
    afterSwitch: (...switched) => afterSwitch(...switched, loops),
    writeConfiguration: () => ({ ok: false, message: 'there is no file' }),
    configuration: () => ({ ...FILE, ok: true, text: 'DEFAULT:\n' }),
    validate: (text) => parseConfig(text, 'the text', {}),
  };
}

const FILE = { path: '/etc/lxc.yaml', shown: '/etc/lxc.yaml', isShared: false, option: '' };

export function exchange(
  port: number,
  method: string,
  path: string,
  headers: Headers,
  body?: unknown,
): Promise<Answer> {
  const isText = typeof body === 'string';
  const content = body === undefined ? undefined : isText ? body : JSON.stringify(body);
  const all = {
    ...(content !== undefined && { 'content-length': `${Buffer.byteLength(content)}` }),
    ...(content !== undefined && { 'content-type': 'application/json' }),
    ...headers,
  };
  return new Promise((resolve, reject) => {
    const about = { host: '127.0.0.1', port, method, path, headers: all, agent: false } as const;
    const asking = request(about, (response) => {
      const { statusCode: status = 0, headers: given } = response;
      let text = '';
      const done = (): void => resolve({ status, headers: given, text, json: jsonOf(text) });
      response.on('data', (chunk) => {
        text += String(chunk);
        // A stream of events has no end.
        if (given['content-type'] === 'text/event-stream') {
          response.destroy();
          done();
        }
      });
      response.on('end', done);
    });
    asking.on('error', reject);
    asking.end(content);
  });
}

function jsonOf(text: string): Answer['json'] {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
