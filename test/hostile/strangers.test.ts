import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { calm, hungry, NodeUnderTest, type Running } from '../e2e/node-under-test.ts';
import { freePort } from '../free-port.ts';

/** Strangers at the doors of the real daemon: its control socket, and its listener for metrics. */

const SOCKET = 'run/lxc_autoscale/control.sock';
const TOKEN = 'tok3n-tok3n-tok3n';
const NOBODY = 65_534;
const MOST_OF_SOCKET = 64;
/** Those that wait, a burst of those that have just come, and those that read their answer. */
const MOST_OF_LISTENER = 256 + 16;

async function doors() {
  const under = await NodeUnderTest.create([calm(101), hungry(102)]);
  const port = await freePort();
  const listen = `metrics_listen: 127.0.0.1:${port}`;
  under.configure(`DEFAULT:\n  poll_interval: 1\n  ${listen}\n  metrics_token: ${TOKEN}\n`);
  const daemon = under.start(['daemon']);
  await daemon.saying(/Confirmed\.(.*\n)*.*Next run in(.*\n)*.*Next run in/);
  return { under, daemon, port, path: join(under.root, SOCKET) };
}

const descriptorsOf = ({ child }: Running): number => readdirSync(`/proc/${child.pid}/fd`).length;

/** How many TCP ports a process listens on. */
function listeningOf({ child }: Running): number {
  const inodes = ['tcp', 'tcp6'].flatMap((table) => {
    const rows = readFileSync(`/proc/${child.pid}/net/${table}`, 'utf8')
      .trim()
      .split('\n')
      .slice(1);
    const cells = rows.map((row) => row.trim().split(/\s+/));
    return cells.filter(([, , , state]) => state === '0A').map((row) => `socket:[${row[9]}]`);
  });
  const own = readdirSync(`/proc/${child.pid}/fd`).map((name) => {
    try {
      return readlinkSync(`/proc/${child.pid}/fd/${name}`);
    } catch {
      return '';
    }
  });
  return own.filter((target) => inodes.includes(target)).length;
}

function residentMib({ child }: Running): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024;
}

/** Resolves with all that comes, once the other side has ended or gone. */
function conversation(
  to: { path: string } | { port: number; host: string },
  words: string,
): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(to);
    let text = '';
    socket.on('connect', () => socket.write(words));
    socket.on('data', (chunk) => {
      text += String(chunk);
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
    socket.on('end', () => socket.end());
  });
}

/** So many at a time until there were so many; nobody is waited for that says nothing. */
async function crowd(
  count: number,
  to: { path: string } | { port: number; host: string },
  watch: () => void,
): Promise<void> {
  const open = new Set<Socket>();
  for (let made = 0; made < count; made += 1) {
    const socket = connect(to);
    open.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
    if (made % 250 !== 249) continue;
    await new Promise((resolve) => setTimeout(resolve, 20));
    watch();
    for (const one of [...open].slice(0, 150)) one.destroy();
  }
  for (const one of open) one.destroy();
}

const STATUS = '{"command":"status"}\n';
const GET = `GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`;

/** Tries to list two directories, to read a file, and to open a socket. */
const STRANGER = `
  const { readdirSync, readFileSync } = require('node:fs');
  const [run, state, log, path] = process.argv.slice(1);
  const attempt = (act) => {
    try { act(); return 'open'; } catch (error) { return error.code; }
  };
  const said = [
    attempt(() => readdirSync(run)),
    attempt(() => readdirSync(state)),
    attempt(() => readFileSync(log)),
  ];
  const end = (word) => process.stdout.write([...said, word].join(' '), () => process.exit());
  require('node:net').connect(path)
    .on('error', (error) => end(error.code))
    .on('connect', () => end('open'));`;

describe('the control socket', () => {
  it('has nothing for another user, by whatever way', async (context) => {
    if (process.getuid?.() !== 0) return context.skip('only root may become somebody else');
    const { under, path } = await doors();
    const places = [
      join(under.root, 'run/lxc_autoscale'),
      join(under.root, 'var/lib/lxc_autoscale'),
      join(under.root, 'var/log/lxc_autoscale.json'),
      join(under.root, SOCKET),
    ];
    // The tree lies in a directory of root's own, which is opened so that only its modes count.
    for (const one of [join(under.root, '..'), under.root]) chmodSync(one, 0o755);
    const argv = ['-e', STRANGER, ...places];
    // Another user may not reach the Node that runs this, in a home directory for example.
    const node = join(under.root, 'node-for-all');
    copyFileSync(process.execPath, node);
    chmodSync(node, 0o755);
    const stranger = spawn(node, argv, {
      uid: NOBODY,
      gid: NOBODY,
      cwd: '/',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    stranger.stdout?.on('data', (chunk) => {
      text += String(chunk);
    });
    await once(stranger, 'close');
    expect(text.trim()).toBe('EACCES EACCES EACCES EACCES');
    expect(await conversation({ path }, STATUS)).toMatch(/^\{"report":/);
  });

  it('bears ten thousand who come, and answers the next', async () => {
    const { daemon, path } = await doors();
    const [quiet, before] = [descriptorsOf(daemon), residentMib(daemon)];
    let most = 0;
    await crowd(10_000, { path }, () => {
      most = Math.max(most, descriptorsOf(daemon));
    });
    expect(most - quiet).toBeLessThan(MOST_OF_SOCKET + 20);
    let answer = '';
    while (!answer.includes('"report"')) answer = await conversation({ path }, STATUS);
    expect(residentMib(daemon) - before).toBeLessThan(64);
    expect(daemon.child.exitCode).toBeNull();
  });

  it('reads no request without an end, and waits for nobody', async () => {
    const { daemon, path } = await doors();
    const before = residentMib(daemon);
    const answers = await Promise.all([
      conversation({ path }, 'x'.repeat(50_000_000)),
      conversation({ path }, '{"command":'),
      conversation({ path }, ''),
      conversation({ path }, `{"command":"explain-group","group":"${'x'.repeat(3000)}"}\n`),
    ]);
    for (const answer of answers) expect(answer).not.toContain('report');
    expect(residentMib(daemon) - before).toBeLessThan(64);
    expect(await conversation({ path }, STATUS)).toContain('"report"');
  });
});

describe('the listener for metrics', () => {
  it('is not there unless it is set up', async () => {
    const under = await NodeUnderTest.create([calm(101)]);
    const daemon = under.start(['daemon']);
    await daemon.cycles(2);
    expect(listeningOf(daemon)).toBe(0);
    const { daemon: other } = await doors();
    expect(listeningOf(other)).toBe(1);
  });

  it('bears ten thousand who come, and answers the next', async () => {
    const { daemon, port } = await doors();
    const [quiet, before] = [descriptorsOf(daemon), residentMib(daemon)];
    let most = 0;
    await crowd(10_000, { port, host: '127.0.0.1' }, () => {
      most = Math.max(most, descriptorsOf(daemon));
    });
    expect(most - quiet).toBeLessThan(MOST_OF_LISTENER + 20);
    let answer = '';
    while (!answer.startsWith('HTTP/1.1 200'))
      answer = await conversation({ port, host: '127.0.0.1' }, GET);
    expect(answer).toContain('lxc_autoscale_');
    expect(residentMib(daemon) - before).toBeLessThan(64);
  });

  it('answers its owner while a stranger holds forty half requests', {
    timeout: 240_000,
  }, async () => {
    const { port } = await doors();
    let over = false;
    let made = 0;
    const hold = (): void => {
      made += 1;
      const socket = connect({ port, host: '127.0.0.1' }, () =>
        socket.write('GET /metrics HTTP/1.1\r\nX: '),
      );
      socket.on('error', () => {}).on('close', () => over || hold());
      socket.resume();
    };
    for (let index = 0; index < 40; index += 1) hold();
    // Each of them has been ended once, and has come again.
    while (made < 80) await new Promise((resolve) => setTimeout(resolve, 20));
    const answers: string[] = [];
    for (let scrape = 0; scrape < 25; scrape += 1)
      answers.push(await conversation({ port, host: '127.0.0.1' }, GET));
    over = true;
    expect(answers.filter((text) => text.startsWith('HTTP/1.1 200'))).toHaveLength(25);
  });

  it('has nothing without the token, and no patience', async () => {
    const { daemon, port } = await doors();
    const before = residentMib(daemon);
    const head = 'GET /metrics HTTP/1.1\r\nHost: x\r\n';
    const answers = await Promise.all([
      conversation({ port, host: '127.0.0.1' }, `${head}\r\n`),
      conversation(
        { port, host: '127.0.0.1' },
        `${head}Authorization: Bearer ${TOKEN.slice(1)}\r\n\r\n`,
      ),
      conversation(
        { port, host: '127.0.0.1' },
        `${head}Authorization: Bearer ${TOKEN.slice(0, -1)}\r\n\r\n`,
      ),
      conversation({ port, host: '127.0.0.1' }, `${head}X: ${'x'.repeat(20_000_000)}`),
      conversation({ port, host: '127.0.0.1' }, head),
      conversation({ port, host: '127.0.0.1' }, ''),
      conversation(
        { port, host: '127.0.0.1' },
        `POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n`,
      ),
    ]);
    for (const answer of answers) expect(answer).not.toContain('lxc_autoscale_');
    expect(residentMib(daemon) - before).toBeLessThan(64);
    expect(await conversation({ port, host: '127.0.0.1' }, GET)).toContain('lxc_autoscale_');
  });
});
