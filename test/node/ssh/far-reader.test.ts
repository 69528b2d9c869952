import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FarFiles } from '../../../src/node/ssh/far-files.ts';
import { FarHands } from '../../../src/node/ssh/far-hands.ts';
import { FAR_READER } from '../../../src/node/ssh/far-reader.ts';
import { FrameBuffer, frameOf, parseAnswer } from '../../../src/node/ssh/frames.ts';
import { createFileReader } from '../../../src/os/file-reader.ts';
import { shellWord } from '../../../src/os/shell-quote.ts';
import { PATIENCE_MS, until } from '../../patience.ts';
import { temporaryDirectory, vmid } from '../local/world.ts';
import { connect, tellingPid } from './pipe.ts';

/** The far reader and what stands before it, with a pipe in the place of the network. */

async function look(...items: readonly string[]) {
  const files = new FarFiles();
  const answer = await connect().request('L', items, PATIENCE_MS);
  if (!answer.ok) throw new Error(answer.detail);
  files.replace(answer.value);
  return files;
}

const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

describe('files', () => {
  it('come with every byte, and as long as they are', async () => {
    const directory = temporaryDirectory();
    const contents = [
      Buffer.alloc(0),
      everyByte,
      Buffer.from('no end of line'),
      Buffer.alloc(300_000, 10),
    ];
    const paths = contents.map((content, index) => {
      const path = join(directory, `${index}`);
      writeFileSync(path, content);
      return path;
    });
    const files = await look(...paths.map((path) => `f${path}`));
    const read = createFileReader(1024 * 1024, files);
    for (const [index, path] of paths.entries()) {
      const file = read(path);
      expect(file.ok && Buffer.compare(file.value, contents[index] ?? everyByte)).toBe(0);
    }
  });

  it('that cannot be had say why, and those that were not asked for are not absent', async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'other'), '1');
    mkdirSync(join(directory, 'sub'));
    const files = await look(`d${directory}`, `f${directory}/sub`, 'f/proc/self/mem');
    const read = createFileReader(100, files);
    expect(read(join(directory, 'none'))).toMatchObject({ why: 'absent' });
    expect(read(join(directory, 'none/below'))).toMatchObject({ why: 'absent' });
    expect(read(join(directory, 'sub'))).toMatchObject({ why: 'unreadable' });
    expect(read('/proc/self/mem')).toMatchObject({ why: 'unreadable' });
    expect(read(join(directory, 'other'))).toMatchObject({
      why: 'unreadable',
      detail: expect.stringContaining('not part of the look'),
    });
    expect(read('/elsewhere')).toMatchObject({ why: 'unreadable' });
    expect(files.names(directory)).toEqual(expect.arrayContaining(['other', 'sub']));
  });

  it('that are larger than any of a node are not taken', async () => {
    const path = join(temporaryDirectory(), 'large');
    writeFileSync(path, Buffer.alloc(5 * 1024 * 1024));
    const files = await look(`f${path}`);
    expect(createFileReader(100, files)(path)).toMatchObject({ why: 'unreadable' });
  });

  it('have the time of the far clock, moved only as far as cause and effect demand', async () => {
    const directory = temporaryDirectory();
    const connection = connect();
    const files = new FarFiles();
    let last = 0;
    for (let round = 0; round < 5; round++) {
      const sentMs = performance.now();
      const answer = await connection.request('L', [`g${directory}`], PATIENCE_MS);
      files.replace(answer.ok ? answer.value : []);
      const atMs = files.stat(directory)?.seenAtMs ?? 0;
      // A clock with a hundredth of a second.
      expect(atMs).toBeGreaterThanOrEqual(Math.max(last, sentMs - 10));
      expect(atMs).toBeLessThanOrEqual(performance.now());
      last = atMs;
    }
  });
});

describe('the far reader', () => {
  it('says why a directory could not be read to its end, and calls it not empty', async () => {
    const directory = temporaryDirectory();
    const broken = 'BEGIN { *CORE::GLOBAL::readdir = sub (*) { $! = 5; return } }\n';
    const items = ['d', 'c', 't'].map((letter) => letter + directory);
    const answer = await connect(broken + FAR_READER).request('L', items, PATIENCE_MS);
    expect(answer.ok && answer.value).toEqual(
      items.map(() => ({ kind: 'error', path: directory, code: 'EIO' })),
    );
  });

  it('keeps the time of a command by a clock that nobody sets', async () => {
    const set = 'my $set; BEGIN { *CORE::GLOBAL::time = sub { $set += 1000 } }\n';
    const limitS = `${PATIENCE_MS / 1000}`;
    const texts = [limitS, 'sh', '-c', 'sleep 0.3; echo done'];
    const answer = await connect(set + FAR_READER).request('X', texts, PATIENCE_MS);
    expect(answer.ok && answer.value).toMatchObject([
      { kind: 'ended', how: 'exited', number: 0, stdout: Buffer.from('done\n') },
    ]);
  });

  it.each(['HUP', 'TERM', 'INT', 'ALRM'] as const)(
    'puts back what is held down before it ends by SIG%s',
    async (signal) => {
      const directory = temporaryDirectory();
      const [high, pid] = [join(directory, 'high'), join(directory, 'pid')];
      writeFileSync(high, 'max\n');
      const connection = connect(tellingPid(pid) + FAR_READER);
      await connection.request('W', [high, 'w', '1\n', 'max\n'], PATIENCE_MS);
      expect(readFileSync(high, 'utf8')).toBe('1\n');
      process.kill(Number(readFileSync(pid, 'utf8')), `SIG${signal}`);
      await until(() => readFileSync(high, 'utf8') === 'max\n');
    },
  );
});

describe('a look that hangs', () => {
  const hanging = 'BEGIN { *CORE::GLOBAL::readdir = sub (*) { sleep(1) while 1 } }\n';
  const script = hanging + FAR_READER.replace('1 << 20, 30, 15', '1 << 20, 1, 15');

  it('ends the far reader', async () => {
    const answer = await connect(script).request('L', [`d${temporaryDirectory()}`], PATIENCE_MS);
    expect(answer.ok ? '' : answer.detail).toMatch(/has ended/);
  });

  it('ends it so that what is held down is put back', async () => {
    const directory = temporaryDirectory();
    const high = join(directory, 'high');
    writeFileSync(high, 'max\n');
    const connection = connect(script);
    await connection.request('W', [high, 'w', '1\n', 'max\n'], PATIENCE_MS);
    const answer = await connection.request('L', [`d${directory}`], PATIENCE_MS);
    expect(answer.ok).toBe(false);
    expect(readFileSync(high, 'utf8')).toBe('max\n');
  });
});

describe('a monitor that hangs', () => {
  it('holds nobody up, and is given up in its time', async () => {
    const socket = join(temporaryDirectory(), 's');
    const talks: Socket[] = [];
    const server = createServer((one) => talks.push(one));
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    const connection = connect();
    const words = ['3', '1', 'text', '/proc/locks', '/none'];
    const hanging = connection.request('Q', [socket, ...words], PATIENCE_MS);
    let isOver = false;
    void hanging.then(() => {
      isOver = true;
    });
    await until(() => talks.length === 1);
    const seen = await connection.request('L', ['f/proc/uptime'], PATIENCE_MS);
    expect(seen).toMatchObject({ ok: true, value: [{ kind: 'file', path: '/proc/uptime' }] });
    expect(isOver).toBe(false);
    expect(await hanging).toMatchObject({ value: [{ kind: 'told', path: socket, how: 'late' }] });
    const tooLong = `/${'x'.repeat(200)}`;
    const refused = await connection.request('Q', [tooLong, ...words], PATIENCE_MS);
    expect(refused).toMatchObject({ value: [{ how: 'failed', code: 'ENAMETOOLONG' }] });
    for (const one of talks) one.destroy();
    server.close();
  });
});

describe('an answer', () => {
  it('counts only as a whole', async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, '1'), 'content');
    const child = spawnSync('perl', ['-e', FAR_READER], {
      input: frameOf(7, 'L', [`d${directory}`, `f${directory}/1`, 'f/none']),
    });
    const frames = new FrameBuffer();
    for (const byte of child.stdout) frames.add(Buffer.from([byte]));
    const hello = frames.next();
    expect(hello && parseAnswer(hello)).toEqual({ id: 0, records: [] });
    const frame = frames.next();
    if (!frame) throw new Error('there was no answer');
    expect(parseAnswer(frame)?.records).toHaveLength(3);
    const whole = new Set([0, 1, 2].map((count) => endOf(frame, count)));
    for (let length = 0; length < frame.length; length++) {
      const part = parseAnswer(frame.subarray(0, length));
      // It ends where a record does: the length before it says that this is not all.
      if (!whole.has(length)) expect(part).toBeUndefined();
    }
    frames.add(frame.subarray(0, 3));
    expect(frames.next()).toBeUndefined();
  });

  it.each([
    ['nothing at all', 'exit 0', /connection has ended/],
    ['a length that none has', 'print "\\xff" x 9; sleep 9', /login shell/],
    ['no greeting', 'print pack("N/a*", "1F"); sleep 9', /login shell/],
    ['what was not asked for', 'print pack("N/a*", "0H"), pack("N/a*", "9W"); sleep 9', /shell/],
    ['half of it', 'print pack("N/a*", "0H"), "\\0\\0\\0\\x09abc"; exit 0', /has ended/],
  ])('that is %s is none', async (_what, script, why) => {
    const answer = await connect(`$| = 1; ${script}`).request('L', ['f/x'], PATIENCE_MS);
    expect(answer).toMatchObject({ ok: false, why: 'unreadable' });
    expect(answer.ok ? '' : answer.detail).toMatch(why);
  });
});

/** Where so many records end. */
function endOf(frame: Buffer, count: number): number {
  let at = 1;
  for (let record = 0; record < count; record++) {
    const texts = { D: 5, F: 2, E: 2 }[String.fromCharCode(frame[at] ?? 0)] ?? 0;
    at += 1;
    for (let text = 0; text < texts; text++) at += 4 + frame.readUInt32BE(at);
  }
  return at;
}

describe('arguments', () => {
  const options = {
    timeLimitMs: PATIENCE_MS,
    env: {},
    stopGraceMs: 0,
    outputLimitBytes: 1000,
    stop: new AbortController().signal,
  };
  const run = (program: string, args: readonly string[]) => {
    const hands = new FarHands(connect);
    return hands.runOf(vmid(101))(program, args, options);
  };
  /** As any program gets them, each with its end. */
  function witness(): { readonly program: string; readonly seen: string } {
    const directory = temporaryDirectory();
    const [program, seen] = [join(directory, 'a program'), join(directory, 'seen')];
    writeFileSync(program, `#!/bin/sh\nprintf '%s\\0' "$@" >${shellWord(seen)}\n`);
    chmodSync(program, 0o755);
    return { program, seen };
  }

  it('arrive as they are, with every character that they can have', async () => {
    const { program, seen } = witness();
    const every = Array.from({ length: 255 }, (_, index) => String.fromCharCode(index + 1));
    const lists = [
      every,
      [every.join(''), '', ' ', '-', '--', '$(touch x)', '`x`', '; x', "'", '"', '\\', '\n', '*'],
      ['ünïcödé', '日本', '🦆', [...every].reverse().join('')],
      ...seeded(20, every),
    ];
    for (const list of lists) {
      expect(await run(program, list)).toMatchObject({ kind: 'exited', exitCode: 0 });
      expect(readFileSync(seen, 'utf8').split('\0').slice(0, -1)).toEqual(list);
    }
  });

  it('of a shell are one word each, with every byte but NUL', () => {
    const bytes = everyByte.subarray(1).toString('latin1');
    const words = [bytes, '', "'", "''", "\\'", ...bytes, ...seeded(50, [...bytes]).flat()];
    for (let at = 0; at < words.length; at += 50) {
      const some = words.slice(at, at + 50);
      const script = `printf '%s\\0' ${some.map(shellWord).join(' ')}`;
      const { stdout } = spawnSync('sh', [], { input: Buffer.from(script, 'latin1') });
      expect(stdout.toString('latin1').split('\0').slice(0, -1)).toEqual(some);
    }
  });

  it('name a program that may not be there', async () => {
    expect(await run('/no/such/program', [])).toEqual({
      kind: 'not-started',
      message: '/no/such/program could not be started there: no such file or directory (ENOENT)',
    });
  });

  it('are those of a program that is ended in time, with all that it started', async () => {
    const hands = new FarHands(connect);
    const script = 'sleep 86398 & echo begun; wait';
    const limited = { ...options, timeLimitMs: 3000 };
    const result = await hands.runOf(vmid(101))('sh', ['-c', script], limited);
    expect(result).toMatchObject({ kind: 'timed-out', left: false, stdout: 'begun\n' });
    hands.close();
  });
});

/** Lists of words of such characters, the same in every run. */
function seeded(count: number, characters: readonly string[]): string[][] {
  let state = 20_261_129;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % limit;
  };
  const word = () =>
    Array.from({ length: below(20) }, () => characters[below(characters.length)]).join('');
  return Array.from({ length: count }, () => Array.from({ length: 1 + below(8) }, word));
}
