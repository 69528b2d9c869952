import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { plant, temporaryDirectory } from '../node/local/world.ts';
import { NO_SSHD, type SshServer, startSshd } from '../node/ssh/sshd.ts';
import { PATIENCE_MS, until } from '../patience.ts';
import { BUNDLE, guest, hearing, NodeUnderTest } from './node-under-test.ts';

/** Real programs that could scale the same node, by real servers of SSH: one of them does. */

/** How long a holder that is gone is waited for, and two looks more. */
const EXPIRES_MS = 90_000 + 30_000;

const closing: (() => unknown)[] = [];

beforeEach((context) => {
  if (NO_SSHD !== undefined) context.skip(NO_SSHD);
  if (spawnSync('unshare', ['-m', 'true']).status !== 0) context.skip('needs unshare -m');
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A node with one guest, and a host that is none, from which programs reach it. */
async function stage() {
  let anonMib = 500;
  const spec = guest(201, { cores: 2, memoryMib: 1024 }, { cpuCores: 1, anonMib });
  const far = await NodeUnderTest.create([{ ...spec, demand: () => ({ cpuCores: 1, anonMib }) }]);
  far.configure('DEFAULT: {poll_interval: 1, cooldown_seconds: 0}\n');
  far.node.start();
  const host = temporaryDirectory();
  return {
    far,
    memory: () => far.node.limits(201)?.memoryMib ?? 0,
    /** It needs more than it has, once. */
    grow: () => {
      anonMib = (far.node.limits(201)?.memoryMib ?? 0) - 60;
    },
    program: async () => {
      const server = await serverOf(far, host);
      closing.push(() => server.close());
      return new Program(host, server);
    },
  };
}

function serverOf(far: NodeUnderTest, host: string): Promise<SshServer> {
  // Behind this sshd the far node's files are where the program looks for those of a node.
  const script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"';
  const before = ['unshare', '-m', 'sh', '-c', script, 'sh', far.root, host];
  return startSshd({ path: `${far.node.binDirectory}:/usr/bin:/bin`, before });
}

/** One that keeps what it knows in a directory of its own. */
class Program {
  readonly server: SshServer;
  readonly #host: string;
  readonly #state = temporaryDirectory();
  readonly #config: string;
  #daemon = this.#none();

  constructor(host: string, server: SshServer) {
    this.#host = host;
    this.server = server;
    const { port, user, identityFile, knownHosts } = server.settings;
    const reached = `connection: ssh, host: 127.0.0.1, port: ${port}, user: ${user}`;
    const keys = `identity_file: ${identityFile}, known_hosts: ${knownHosts}`;
    const often = 'poll_interval: 1, cooldown_seconds: 0, log_quiet_cycles: True';
    const text = `DEFAULT: {${often}}\nNODES:\n  old: {${reached}, ${keys}}\n`;
    plant(this.#state, { 'config.yaml': text });
    this.#config = join(this.#state, 'config.yaml');
  }

  #none() {
    return { signal: (_: NodeJS.Signals) => {}, ended: Promise.resolve(), said: () => '' };
  }

  #spawn(...args: string[]) {
    const named = ['--config', this.#config, '--state', this.#state, '--sysroot', this.#host];
    const child = spawn(process.execPath, [BUNDLE, ...args, ...named], { cwd: '/' });
    const heard = hearing(child);
    const said = (): string => heard().stdout + heard().stderr;
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    return { child, ended, said };
  }

  start(): void {
    const { child, ended, said } = this.#spawn('daemon');
    this.#daemon = { signal: (name) => void child.kill(name), ended, said };
    closing.push(async () => {
      child.kill('SIGKILL');
      await ended;
    });
  }

  async run(...args: string[]) {
    const { child, ended, said } = this.#spawn(...args);
    await ended;
    return { code: child.exitCode, said: said() };
  }

  said(): string {
    return this.#daemon.said();
  }

  signal(name: NodeJS.Signals): void {
    this.#daemon.signal(name);
  }
  get ended(): Promise<void> {
    return this.#daemon.ended;
  }

  says(text: string | RegExp, limitMs = PATIENCE_MS, count = 1): Promise<void> {
    const { said } = this.#daemon;
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

it(
  'a node with a daemon of its own is left to that, and taken over at its end',
  async () => {
    const { far, memory, grow, program } = await stage();
    const own = far.start(['daemon']);
    await own.cycles(1);
    const away = await program();
    away.start();
    await away.says(
      /old: Nothing is changed on this node: waiting, since lxc-autoscale on pve1 \(its /,
    );
    expect(await away.run('status')).toMatchObject({
      code: 0,
      said: expect.stringContaining(WAITS),
    });
    expect(await away.run('health-check')).toMatchObject({
      code: 0,
      said: expect.stringMatching(/^ok +quorum +old: waiting, since.*^Healthy/ms),
    });
    grow();
    await until(
      () => memory() > 1024,
      () => far.log(),
    );
    expect([far.sets().length, away.changes()]).toEqual([1, 0]);
    own.signal('SIGTERM');
    await own.ended;
    await away.says(GOES_ON);
    grow();
    await until(
      () => away.changes() > 0,
      () => away.said(),
    );
    const again = far.start(['daemon']);
    await again.saying(WAITS);
    expect(far.log()).toContain('(by SSH) scales this node');
    away.signal('SIGTERM');
    await away.ended;
    await again.saying(GOES_ON, 2 * PATIENCE_MS);
  },
  3 * EXPIRES_MS,
);

/** Two programs of which the second waits; what befalls the first, and how it comes back. */
async function passedOn(befalls: (one: Program) => void, comesBack: (one: Program) => void) {
  const { far, memory, grow, program } = await stage();
  const [one, other] = [await program(), await program()];
  one.start();
  await one.says('old: Final resources');
  other.start();
  await other.says(WAITS);
  grow();
  await until(
    () => one.changes() === 1,
    () => one.said(),
  );
  // Whoever is killed before the state is saved logs the change once more when it comes back.
  const cycles = one.said().split('old: Final resources').length;
  await one.says('old: Final resources', PATIENCE_MS, cycles + 1);
  befalls(one);
  const beganMs = performance.now();
  await other.says(GOES_ON, EXPIRES_MS);
  const tookS = (performance.now() - beganMs) / 1000;
  const [before, changed] = [memory(), far.sets().length];
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
  // None was made by the first since then, and none twice. One that goes on is not on record yet.
  await expect.poll(() => far.sets().length - other.changes()).toBe(changed);
  expect(one.changes()).toBe(1);
  return tookS;
}

it(
  'the second of two goes on where the first has ended, stands still or is cut off',
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
        (one) => one.server.wire.refuse(true),
        (one) => one.server.wire.refuse(false),
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
