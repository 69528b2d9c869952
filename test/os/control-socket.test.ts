import { existsSync, lstatSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { createPaths } from '../../src/node/local/paths.ts';
import { askControlSocket } from '../../src/os/control-client.ts';
import { CONTROL_SOCKET } from '../../src/os/control-path.ts';
import {
  type ControlSettings,
  type ControlSocket,
  openControlSocket,
} from '../../src/os/control-socket.ts';
import { temporaryDirectory } from '../node/local/world.ts';
import { PATIENCE_MS, until } from '../patience.ts';
import { bundleFixture, start } from './child.ts';

const open: ControlSocket[] = [];
const clients: Socket[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  for (const socket of open.splice(0)) await socket.close();
});

const echo: ControlSettings['answer'] = async (request) => ({ asked: request });

async function opened(root = temporaryDirectory(), answer = echo) {
  const complaints: string[] = [];
  const complain = (message: string): void => void complaints.push(message);
  const socket = await openControlSocket({ paths: createPaths(root), answer, complain });
  open.push(socket);
  return { root, path: join(root, CONTROL_SOCKET), socket, complaints };
}

/** Sends bytes and returns all that comes back until the other side ends. */
function raw(path: string, content: string | Buffer, end = false): Promise<string> {
  return new Promise((resolve) => {
    const client = connect(path);
    clients.push(client);
    let text = '';
    client.on('connect', () => (end ? client.end(content) : client.write(content)));
    client.on('data', (chunk) => {
      text += chunk;
    });
    client.on('error', () => {});
    client.on('close', () => resolve(text));
  });
}

const STATUS = { command: 'status' };

describe('the control socket', () => {
  it('answers one request a connection, by root only', async () => {
    const { path, root } = await opened();
    expect(await askControlSocket(path, STATUS)).toEqual({
      kind: 'answered',
      content: { asked: STATUS },
    });
    expect(await askControlSocket(path, { command: 'explain', vmid: 101 })).toMatchObject({
      content: { asked: { command: 'explain', vmid: 101 } },
    });
    expect((statSync(path).mode & 0o777).toString(8)).toBe('600');
    expect((statSync(join(root, 'run/lxc_autoscale')).mode & 0o777).toString(8)).toBe('700');
    expect(await raw(path, '{"command":"status"}\n{"command":"status"}\n')).toBe(
      '{"asked":{"command":"status"}}\n',
    );
  });

  it('takes a request without its newline from who has ended', async () => {
    const { path } = await opened();
    expect(await raw(path, '{"command":"status"}', true)).toContain('asked');
  });

  it('narrows a directory that others could enter', async () => {
    const root = temporaryDirectory();
    mkdirSync(join(root, 'run/lxc_autoscale'), { recursive: true, mode: 0o755 });
    await opened(root);
    expect((statSync(join(root, 'run/lxc_autoscale')).mode & 0o777).toString(8)).toBe('700');
  });

  it.each([
    '\n',
    'status\n',
    '[]\n',
    'null\n',
    '{"command":"stop"}\n',
    '{"command":"explain"}\n',
    '{"command":"explain","vmid":"101"}\n',
    '{"command":"explain","vmid":99}\n',
    '{"command":"explain","vmid":1e300}\n',
    Buffer.from([0xff, 0x00, 0xfe, 0x0a]),
    `{"command":"status","pad":"${'x'.repeat(4096)}"}\n`,
    'x'.repeat(300_000),
  ])('refuses %j', async (content) => {
    const { path } = await opened();
    expect(JSON.parse(await raw(path, content))).toEqual({
      error: expect.stringContaining('this is no request'),
    });
    expect((await askControlSocket(path, STATUS)).kind).toBe('answered');
  });

  it('does not wait for who says nothing', async () => {
    const { path } = await opened();
    const startMs = performance.now();
    expect(await raw(path, '{"command":')).toContain('this is no request');
    expect(performance.now() - startMs).toBeGreaterThan(1500);
    expect(performance.now() - startMs).toBeLessThan(PATIENCE_MS);
  });

  it('answers eight at a time, and tells the others so', async () => {
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { path } = await opened(undefined, async () => {
      await gate;
      return { fine: true };
    });
    let refused = 0;
    const answers = Array.from({ length: 20 }, async () => {
      const answer = await askControlSocket(path, STATUS);
      if (answer.kind === 'answered' && 'error' in answer.content) refused += 1;
      return answer;
    });
    await until(() => refused === 12);
    release();
    const contents = (await Promise.all(answers)).map((answer) =>
      answer.kind === 'answered' ? Object.keys(answer.content)[0] : answer.kind,
    );
    expect(contents.filter((key) => key === 'fine')).toHaveLength(8);
    expect(contents.filter((key) => key === 'error')).toHaveLength(12);
    expect((await askControlSocket(path, STATUS)).kind).toBe('answered');
  });

  it.each([
    ['throws', () => Promise.reject(new Error('out of order'))],
    ['has no JSON', async () => ({ count: 1n })],
    [
      'throws at once',
      () => {
        throw new Error('out of order');
      },
    ],
  ])('lives on when the answer %s', async (_, answer) => {
    const { path } = await opened(undefined, answer);
    for (let turn = 0; turn < 2; turn += 1) {
      expect(JSON.parse(await raw(path, '{"command":"status"}\n'))).toEqual({
        error: expect.stringContaining('the daemon could not answer: '),
      });
    }
  });

  it('lives on when the asking one has gone before the answer', async () => {
    let asked = 0;
    let answered = 0;
    let hasGone = (): void => {};
    const gone = new Promise<void>((resolve) => {
      hasGone = resolve;
    });
    const { path } = await opened(undefined, async () => {
      asked += 1;
      await gone;
      answered += 1;
      return { text: 'x'.repeat(1_000_000) };
    });
    const client = connect(path);
    await new Promise((resolve) => client.once('connect', resolve));
    client.write('{"command":"status"}\n');
    await until(() => asked === 1);
    client.once('close', hasGone);
    client.destroy();
    await until(() => answered === 1);
    expect((await askControlSocket(path, STATUS)).kind).toBe('answered');
  });

  it('is gone after its end, with all connections', async () => {
    const { path, socket } = await opened();
    const hanging = raw(path, '');
    // Connections are taken in their order, so the hanging one has been taken after this.
    expect((await askControlSocket(path, STATUS)).kind).toBe('answered');
    await socket.close();
    expect(await hanging).toBe('');
    expect(existsSync(path)).toBe(false);
    expect(await askControlSocket(path, STATUS)).toEqual({
      kind: 'nobody',
      why: 'it is not running',
    });
  });

  it('does not keep its process alive, and is replaced when that was killed', async () => {
    const root = temporaryDirectory();
    const script = bundleFixture('hold-socket');
    const quiet = start(process.execPath, [script, root]);
    expect(await quiet.nextLine()).toBe('open');
    expect(await quiet.ended).toBe(0);
    const killed = start(process.execPath, [script, root, 'stay']);
    expect(await killed.nextLine()).toBe('open');
    killed.child.kill('SIGKILL');
    await killed.ended;
    const path = join(root, CONTROL_SOCKET);
    expect(lstatSync(path).isSocket()).toBe(true);
    expect(await askControlSocket(path, STATUS)).toMatchObject({ kind: 'nobody' });
    const { complaints } = await opened(root);
    expect(complaints).toEqual([]);
    expect((await askControlSocket(path, STATUS)).kind).toBe('answered');
  });
});

describe('the daemon goes on without it', () => {
  const prepared = (prepare: (directory: string) => void): string => {
    const root = temporaryDirectory();
    prepare(root);
    return root;
  };
  const inRun = (root: string): string => {
    const directory = join(root, 'run/lxc_autoscale');
    mkdirSync(directory, { recursive: true });
    return directory;
  };

  it.each([
    [
      'a link stands in its place',
      (root: string) => symlinkSync('/dev/null', join(inRun(root), 'control.sock')),
      'control.sock is no socket, and is left as it is',
    ],
    [
      'a file stands in its place',
      (root: string) => writeFileSync(join(inRun(root), 'control.sock'), 'precious'),
      'control.sock is no socket, and is left as it is',
    ],
    [
      'its directory is a link',
      (root: string) => {
        mkdirSync(join(root, 'run'));
        mkdirSync(join(root, 'elsewhere'));
        symlinkSync('../elsewhere', join(root, 'run/lxc_autoscale'));
      },
      'is a symbolic link, which is not followed',
    ],
    [
      'its directory is a file',
      (root: string) => {
        mkdirSync(join(root, 'run'));
        writeFileSync(join(root, 'run/lxc_autoscale'), '');
      },
      'is not a directory',
    ],
  ])('where %s', async (_, prepare, words) => {
    const { complaints, root } = await opened(prepared(prepare));
    expect(complaints).toEqual([
      expect.stringMatching(/^status and explain cannot ask this daemon: /),
    ]);
    expect(complaints[0]).toContain(words);
    expect(existsSync(join(root, 'elsewhere/control.sock'))).toBe(false);
  });

  it('where another process answers there', async () => {
    const { root, path } = await opened();
    const { complaints, socket } = await opened(root);
    expect(complaints[0]).toContain('control.sock belongs to another process that lives');
    await socket.close();
    expect((await askControlSocket(path, STATUS)).kind).toBe('answered');
  });

  it('where its path is too long, which asking says too', async () => {
    const root = join(temporaryDirectory(), 'x'.repeat(60), 'y'.repeat(60));
    const { complaints, path } = await opened(root);
    const length = Buffer.byteLength(path);
    const words = `has ${length} bytes, and at most 107 are possible`;
    expect(complaints[0]).toContain(`the path of its socket ${words}`);
    expect(await askControlSocket(path, STATUS)).toEqual({
      kind: 'nobody',
      why: `the path of the socket ${words}`,
    });
  });
});

describe('asking', () => {
  async function listening(onClient: (socket: Socket) => void): Promise<string> {
    const path = join(temporaryDirectory(), 'a.sock');
    const server = createServer((socket) => {
      clients.push(socket);
      socket.on('error', () => {});
      onClient(socket);
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    open.push({
      close: () =>
        new Promise((resolve) => {
          server.close(() => resolve());
        }),
    });
    return path;
  }

  it('waits three seconds for an answer', async () => {
    const startMs = performance.now();
    const path = await listening(() => {});
    expect(await askControlSocket(path, STATUS)).toEqual({
      kind: 'failed',
      why: 'it gave no answer within 3 s',
    });
    expect(performance.now() - startMs).toBeLessThan(PATIENCE_MS);
  });

  it.each([
    ['nothing', '', 'it ended without an answer'],
    ['no JSON', 'hello\n', 'its answer is no JSON object'],
  ])('is told what is wrong with %s', async (_, answer, why) => {
    const path = await listening((socket) => socket.end(answer));
    expect(await askControlSocket(path, STATUS)).toEqual({ kind: 'failed', why });
  });

  it('a file is asking nobody', async () => {
    const path = join(temporaryDirectory(), 'file');
    writeFileSync(path, '');
    expect((await askControlSocket(path, STATUS)).kind).toBe('nobody');
  });
});
