import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { RestServer } from '../../src/sim/rest-server.ts';
import { ACCOUNTS, guestSpec, type RestNode, restNode, SECRET } from '../node/api/rest-node.ts';
import { plant, temporaryDirectory } from '../node/local/world.ts';
import { SERVER_TLS } from '../notify/certificate.ts';
import { PATIENCE_MS, until } from '../patience.ts';
import { BUNDLE, hearing } from './node-under-test.ts';

/** Programs that reach a node by the API only, with a directory that they share: one scales it. */

/** How long a holder that is gone is waited for, and two looks more. */
const EXPIRES_MS = 90_000 + 30_000;

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Stage {
  readonly rest: RestNode;
  readonly shared: string;
  memory(): number;
  /** It needs more than it has, once. */
  grow(): void;
  program(): Promise<Program>;
}

async function stage(): Promise<Stage> {
  let anonMib = 700;
  const rest = await restNode([{ ...guestSpec(201), demand: () => ({ cpuCores: 0.2, anonMib }) }]);
  rest.node.start();
  // Where `lease_dir` leads to below the root of both hosts.
  const root = temporaryDirectory();
  const shared = join(root, 'srv/leases');
  mkdirSync(shared, { recursive: true, mode: 0o700 });
  const memory = (): number => rest.node.limits(201)?.memoryMib ?? 0;
  return {
    rest,
    shared,
    memory,
    grow: () => {
      anonMib = memory() - 40;
    },
    // Each by a door of its own, which may be shut.
    program: async () => {
      const server = await RestServer.listen({
        node: rest.node,
        tls: SERVER_TLS,
        accounts: ACCOUNTS,
      });
      closing.push(() => server.close());
      return new Program(server, root);
    },
  };
}

class Program {
  readonly server: RestServer;
  readonly #state = temporaryDirectory();
  readonly #root: string;
  readonly #config = join(this.#state, 'config.yaml');
  #said = (): string => '';
  #signal = (_: NodeJS.Signals): void => {};
  ended: Promise<void> = Promise.resolve();

  constructor(server: RestServer, root: string) {
    this.server = server;
    this.#root = root;
    const often = 'poll_interval: 1, cooldown_seconds: 0, log_quiet_cycles: True';
    const text = `DEFAULT: {${often}}\nNODES:\n  lab: {host: 127.0.0.1, port: ${server.port},
    node: pve1, verify_tls: False, token_id: as@pve!ps, token_secret: ${SECRET},
    lease_dir: /srv/leases}\n`;
    plant(this.#state, { 'config.yaml': text });
  }

  start(): void {
    const where = ['--config', this.#config, '--state', this.#state, '--sysroot', this.#root];
    const child = spawn(process.execPath, [BUNDLE, 'daemon', ...where], { cwd: '/' });
    const heard = hearing(child);
    this.#said = () => heard().stdout + heard().stderr;
    this.#signal = (name) => void child.kill(name);
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    this.ended = ended;
    closing.push(async () => {
      child.kill('SIGKILL');
      await ended;
    });
  }

  said(): string {
    return this.#said();
  }
  signal(name: NodeJS.Signals): void {
    this.#signal(name);
  }
  says(text: string, limitMs = PATIENCE_MS, count = 1): Promise<void> {
    const said = this.#said;
    return until(() => said().split(text).length > count, said, limitMs);
  }
  /** What it has changed, by its own record. */
  changes(): number {
    const path = join(this.#state, 'log/lxc_autoscale.json');
    const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
    return lines.filter((line) => JSON.parse(line).action === 'Increase Memory').length;
  }
}

const WAITS = 'waiting, since lxc-autoscale on ';
const GOES_ON = 'No other program scales this node any more';

it('changes nothing while the directory is not the shared one', async () => {
  const { shared, memory, grow, program } = await stage();
  const one = await program();
  one.start();
  await one.says(`there is no ${shared}/shared; if the shared directory is mounted there, make`);
  grow();
  await one.says('whether another program scales this node is not known');
  expect(memory()).toBe(1024);
  writeFileSync(join(shared, 'shared'), '');
  await until(
    () => memory() > 1024,
    () => one.said(),
  );
});

/** Two programs of which the second waits; what befalls the first, and how it comes back. */
async function passedOn(befalls: (one: Program) => void, comesBack: (one: Program) => void) {
  const { rest, shared, memory, grow, program } = await stage();
  writeFileSync(join(shared, 'shared'), '');
  const puts = (): number => {
    const all = [one, other].flatMap(({ server }) => server.calls);
    return all.filter(({ method }) => method === 'PUT').length;
  };
  const [one, other] = [await program(), await program()];
  one.start();
  await one.says('lab: Final resources');
  other.start();
  await other.says(WAITS);
  grow();
  await until(
    () => one.changes() === 1,
    () => one.said(),
  );
  // Whoever is killed before the state is saved logs the change once more when it comes back.
  const cycles = one.said().split('lab: Final resources').length;
  await one.says('lab: Final resources', PATIENCE_MS, cycles + 1);
  expect(other.server.calls.some(({ method }) => method === 'PUT')).toBe(false);
  befalls(one);
  const beganMs = performance.now();
  await other.says(GOES_ON, EXPIRES_MS);
  const tookS = (performance.now() - beganMs) / 1000;
  const [before, sent] = [memory(), puts()];
  grow();
  comesBack(one);
  await until(
    () => memory() > before,
    () => other.said(),
    EXPIRES_MS,
  );
  await one.says(WAITS, EXPIRES_MS);
  await until(
    () => other.changes() > 0,
    () => `${one.said()}\n\n${other.said()}`,
  );
  expect(one.changes()).toBe(1);
  expect(puts() - sent).toBeGreaterThan(0);
  expect(rest.node.limits(201)?.memoryMib).toBeGreaterThan(before);
  return tookS;
}

it(
  'the second goes on where the first has ended, was killed, stands still or is cut off',
  async () => {
    const [killed, stopped, cut, ended] = await Promise.all([
      passedOn(
        (one) => one.signal('SIGKILL'),
        (one) => one.start(),
      ),
      passedOn(
        (one) => one.signal('SIGSTOP'),
        (one) => one.signal('SIGCONT'),
      ),
      passedOn(
        (one) => {
          one.server.fault = () => ({ kind: 'reset', isDone: false });
        },
        (one) => {
          one.server.fault = undefined;
        },
      ),
      passedOn(
        (one) => one.signal('SIGTERM'),
        (one) => one.start(),
      ),
    ]);
    process.stdout.write(
      `taken over: killed ${killed.toFixed(0)} s, stopped ${stopped.toFixed(0)} s, ` +
        `cut ${cut.toFixed(0)} s, ended ${ended.toFixed(0)} s\n`,
    );
    for (const seconds of [killed, stopped, cut]) expect(seconds).toBeGreaterThan(70);
    expect(ended).toBeLessThan(40);
  },
  4 * EXPIRES_MS,
);
