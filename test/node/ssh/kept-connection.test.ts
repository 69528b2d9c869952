import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FAR_READER } from '../../../src/node/ssh/far-reader.ts';
import { PATIENCE_MS } from '../../patience.ts';
import { manualClock, temporaryDirectory } from '../local/world.ts';
import { connect, connectBy, tellingPid } from './pipe.ts';

const ASK = ['L', ['f/none'], PATIENCE_MS] as const;

describe('an ssh that cannot be started is no answer', () => {
  it('without a descriptor', async () => {
    const connection = connect();
    const taken: number[] = [];
    for (let isFull = false; !isFull; ) {
      try {
        taken.push(openSync('/dev/null', 'r'));
      } catch {
        isFull = true;
      }
    }
    // It is started before anything is waited for.
    const asked = connection.request(...ASK);
    for (const descriptor of taken) closeSync(descriptor);
    expect(await asked).toMatchObject({
      ok: false,
      why: 'unreadable',
      line: undefined,
      detail: expect.stringMatching(/^ssh: .*EMFILE/),
    });
  });

  it.each([
    ['without a program', '/no/such/ssh', [], /^ssh: .*ENOENT/],
    ['for a reason that is thrown', 'perl', ['-e', '#'.repeat(4 << 20)], /^ssh: .*E2BIG/],
  ])('%s', async (_why, file, args, said) => {
    expect(await connectBy(file, args).request(...ASK)).toMatchObject({
      ok: false,
      line: undefined,
      detail: expect.stringMatching(said),
    });
  });
});

it('a greeting is short', async () => {
  const script = '$| = 1; print pack("N", 5000); <STDIN>';
  const answer = await connect(script).request(...ASK);
  expect(answer.ok ? '' : answer.detail).toMatch(/no answer/);
});

it('nothing is sent before the far side has greeted, and what was not sent says so', async () => {
  const heard = join(temporaryDirectory(), 'heard');
  // It ends without a greeting if nothing has come after a moment, and says what has come.
  const script = `
    my $bits = ''; vec($bits, 0, 1) = 1;
    if (select($bits, undef, undef, 0.2)) { open(my $file, '>', '${heard}') }`;
  const answer = await connect(script).request(...ASK);
  expect(answer).toMatchObject({ ok: false, line: undefined });
  expect(existsSync(heard)).toBe(false);
  const greeting = connect(FAR_READER.replace("answer('H');", "answer('H'); exit;"));
  expect(await greeting.request(...ASK)).toMatchObject({ ok: false, line: expect.anything() });
});

it('what was seen keeps its time if the connection is lost', async () => {
  const directory = temporaryDirectory();
  const pid = join(directory, 'pid');
  const clock = manualClock();
  const connection = connect(tellingPid(pid) + FAR_READER, clock);
  const answer = await connection.request('L', [`g${directory}`], PATIENCE_MS);
  const lost = connection.request('X', [`${PATIENCE_MS / 1000}`, 'sleep', '86397'], PATIENCE_MS);
  process.kill(Number(readFileSync(pid, 'utf8')), 'SIGTERM');
  expect(await lost).toMatchObject({ ok: false });
  expect(answer.ok && answer.value).toMatchObject([{ seenAtMs: clock.monotonicMs() }]);
});

it('it is tried again after a pause that grows, up to a minute', async () => {
  const clock = manualClock();
  const started = join(temporaryDirectory(), 'started');
  const script = `open(my $file, '>>', '${started}'); print $file '.'`;
  const connection = connect(script, clock);
  const starts = (): number => (existsSync(started) ? readFileSync(started).length : 0);
  await connection.request(...ASK);
  let count = 1;
  expect(starts()).toBe(count);
  // Half of each, as far as chance goes.
  for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
    clock.advance(seconds * 500 - 1);
    await connection.request(...ASK);
    expect(starts()).toBe(count);
    clock.advance(1);
    await connection.request(...ASK);
    count += 1;
    expect(starts()).toBe(count);
  }
});
