import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FarHands } from '../../../src/node/ssh/far-hands.ts';
import { FAR_READER } from '../../../src/node/ssh/far-reader.ts';
import type { CommandOptions } from '../../../src/os/command.ts';
import { shellWord } from '../../../src/os/shell-quote.ts';
import { PATIENCE_MS, until } from '../../patience.ts';
import { manualClock, temporaryDirectory, vmid } from '../local/world.ts';
import { connect, connectBy, tellingPid } from './pipe.ts';

const ID = vmid(101);
const OPTIONS: CommandOptions = {
  timeLimitMs: PATIENCE_MS,
  env: {},
  stopGraceMs: 0,
  outputLimitBytes: 1000,
  stop: new AbortController().signal,
};
/** As a change that lowers what is held down is started. */
const LOWERING: CommandOptions = { ...OPTIONS, cancel: new AbortController().signal };

describe('what is held down over a connection that has ended', () => {
  let directory: string;
  let high: string;
  let ran: string;
  let program: string;
  let hands: FarHands;
  const clock = manualClock();

  beforeEach(() => {
    directory = temporaryDirectory();
    high = join(directory, 'lxc/101/memory.high');
    ran = join(directory, 'ran');
    program = join(directory, 'program');
    mkdirSync(dirname(high), { recursive: true });
    for (const [path, text] of [
      [high, 'max\n'] as const,
      [ran, ''] as const,
      [program, `#!/bin/sh\necho ran >${shellWord(ran)}\n`] as const,
    ]) {
      writeFileSync(path, text);
    }
    chmodSync(program, 0o755);
    const script = tellingPid(join(directory, 'pid')) + FAR_READER;
    hands = new FarHands(() => connect(script, clock));
  });
  afterEach(() => hands.close());

  const files = () => hands.kernelFiles(() => ID);
  const hold = (to: string) => files().write(high, to, 'instead', 'max\n');
  const run = (options = LOWERING) => hands.runOf(ID)(program, [], options);
  const hasRun = (): boolean => readFileSync(ran, 'utf8') !== '';
  /** The far side ends, and the next connection may come. */
  async function lose(): Promise<void> {
    process.kill(Number(readFileSync(join(directory, 'pid'), 'utf8')), 'SIGTERM');
    await until(() => readFileSync(high, 'utf8') === 'max\n');
    await files().read(high);
    clock.advance(60_000);
    expect(await files().read(high)).toEqual({ ok: true, value: Buffer.from('max\n') });
  }

  it('is no hold: nothing is lowered, though there is another connection', async () => {
    await hold('1\n');
    await lose();
    expect(await run()).toEqual({
      kind: 'not-started',
      message: expect.stringMatching(/was not started: what held its growth back is gone/),
    });
    expect(hasRun()).toBe(false);
  });

  it('stops nothing that gives', async () => {
    await hold('1\n');
    await lose();
    expect(await run(OPTIONS)).toMatchObject({ kind: 'exited', exitCode: 0 });
    expect(hasRun()).toBe(true);
  });

  it.each([
    ['is held anew', () => hold('1\n')],
    ['is found put back', async () => files().letGo(high)],
  ])('is forgotten if it %s', async (_what, happen) => {
    await hold('1\n');
    await lose();
    await happen();
    expect(await run()).toMatchObject({ kind: 'exited', exitCode: 0 });
  });

  it('is that of this guest alone, and in force as long as the connection is', async () => {
    await hold('1\n');
    expect(await run()).toMatchObject({ kind: 'exited', exitCode: 0 });
    await lose();
    const other = await hands.runOf(vmid(102))(program, [], LOWERING);
    expect(other).toMatchObject({ kind: 'exited', exitCode: 0 });
  });
});

describe('a command', () => {
  it('that was never sent was not started', async () => {
    const hands = new FarHands(() => connectBy('sh', ['-c', 'echo refused >&2']));
    expect(await hands.runOf(ID)('pct', ['set'], OPTIONS)).toEqual({
      kind: 'not-started',
      message: 'pct was not started: ssh says: refused',
    });
    hands.close();
  });

  it('says as much as it may, and no more', async () => {
    const hands = new FarHands(() => connect());
    const script = 'head -c 3000 /dev/zero | tr "\\0" o; head -c 3000 /dev/zero | tr "\\0" e >&2';
    expect(await hands.runOf(ID)('sh', ['-c', script], OPTIONS)).toMatchObject({
      kind: 'exited',
      stdout: 'o'.repeat(1000),
      stderr: 'e'.repeat(1000),
    });
    hands.close();
  });
});
