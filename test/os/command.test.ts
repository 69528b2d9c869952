import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CommandOptions, CommandResult } from '../../src/os/command.ts';
import { runCommand, runDetached } from '../../src/os/command.ts';
import { plant, temporaryDirectory } from '../node/local/world.ts';
import { PATIENCE_MS, until } from '../patience.ts';

const PATH = '/usr/bin:/bin';

function run(script: string, options: Partial<CommandOptions> = {}): Promise<CommandResult> {
  return runCommand('bash', ['-c', script], {
    timeLimitMs: 20_000,
    env: { PATH },
    stop: new AbortController().signal,
    stopGraceMs: 0,
    outputLimitBytes: 1024,
    ...options,
  });
}

/** Whether a process still runs; a zombie that nobody has collected yet does not. */
function runs(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/^[0-9]+ \(.*\) [ZX] /.test(stat);
  } catch {
    return false;
  }
}

async function timed<T>(work: Promise<T>): Promise<{ result: T; tookMs: number }> {
  const start = performance.now();
  return { result: await work, tookMs: performance.now() - start };
}

/** A shell and a grandchild that both ignore SIGTERM, and leave their ids in a file. */
function stubbornScript(directory: string): string {
  return (
    `trap '' TERM; ` +
    `(trap '' TERM; echo $BASHPID >"${directory}/grandchild"; sleep 300; sleep 300) & ` +
    `echo $$ >"${directory}/child"; echo ready; wait; sleep 300; sleep 300`
  );
}

function idsIn(directory: string): number[] {
  return ['child', 'grandchild'].map((name) => Number(readFileSync(join(directory, name), 'utf8')));
}

describe('a command that ends by itself', () => {
  it('gives its exit code and both outputs', async () => {
    expect(await run('echo out; echo err >&2; exit 7')).toStrictEqual({
      kind: 'exited',
      exitCode: 7,
      stdout: 'out\n',
      stderr: 'err\n',
    });
  });

  it('gives a line as long as the bound allows', async () => {
    const long = await run('head -c 50000 /dev/zero | tr "\\0" x', { outputLimitBytes: 60_000 });
    expect('stdout' in long && long.stdout).toBe('x'.repeat(50_000));
  });

  it('gets its arguments as they are, without a shell', async () => {
    const args = ['%s\n', '$HOME', '`id`', '; exit 3', 'a b', '*'];
    const result = await runCommand('printf', args, {
      timeLimitMs: 20_000,
      env: { PATH },
      stop: new AbortController().signal,
      stopGraceMs: 0,
      outputLimitBytes: 1024,
    });
    expect(result).toMatchObject({ exitCode: 0, stdout: `${args.slice(1).join('\n')}\n` });
  });

  it('sees the environment that it was given and nothing else', async () => {
    const result = await run('export -n OLDPWD PWD SHLVL _; env', { env: { PATH, ONLY: 'this' } });
    expect(result).toMatchObject({ stdout: expect.stringContaining('ONLY=this') });
    const names = 'stdout' in result ? result.stdout.match(/^[A-Za-z_]+(?==)/gm) : [];
    expect(names?.filter((name) => !['PWD', 'SHLVL', '_'].includes(name)).sort()).toStrictEqual([
      'ONLY',
      'PATH',
    ]);
  });

  it('has no input to wait for', async () => {
    expect(await run('cat; echo end')).toMatchObject({ exitCode: 0, stdout: 'end\n' });
  });

  it('is told apart when a signal ended it', async () => {
    expect(await run('kill -SEGV $$')).toMatchObject({ kind: 'killed', signal: 'SIGSEGV' });
  });

  it('gives text that can stand in a log', async () => {
    const result = await run("printf 'a\\r\\nb\\033[31mred\\033[0m\\a\\0\\377\\n'");
    expect(result).toMatchObject({ stdout: 'a\nbred\\x07\\x00\ufffd\n' });
  });
});

describe('a command that can not be started', () => {
  it('is missed in PATH, in a sentence', async () => {
    const result = await runCommand('no-such-program', [], {
      timeLimitMs: 1000,
      env: { PATH: '/nowhere:/bin' },
      stop: new AbortController().signal,
      stopGraceMs: 0,
      outputLimitBytes: 100,
    });
    expect(result).toStrictEqual({
      kind: 'not-started',
      message: 'the program no-such-program was not found in /nowhere:/bin',
    });
  });

  it('is not said to be missed in PATH where it has a path of its own', async () => {
    const directory = temporaryDirectory();
    plant(directory, { script: '#!/no/such/interpreter\n' });
    const [gone, script] = [join(directory, 'gone'), join(directory, 'script')];
    chmodSync(script, 0o755);
    const [limits, stop] = [{ timeLimitMs: 1000, env: { PATH } }, new AbortController().signal];
    const bounds = { ...limits, stop, stopGraceMs: 0, outputLimitBytes: 100 };
    const said = (message: string) => ({ kind: 'not-started', message });
    expect(await runCommand(gone, [], bounds)).toStrictEqual(said(`${gone} is not there`));
    expect(await runDetached(gone, [], { ...limits, directory })).toStrictEqual(
      said(`${gone} is not there`),
    );
    expect(await runCommand(script, [], bounds)).toStrictEqual(
      said(`the interpreter of ${script} is not there`),
    );
  });

  it('tells why when it may not be executed', async () => {
    const directory = temporaryDirectory();
    plant(directory, { program: '#!/bin/sh\n' });
    chmodSync(join(directory, 'program'), 0o644);
    const result = await runCommand(join(directory, 'program'), [], {
      timeLimitMs: 1000,
      env: { PATH },
      stop: new AbortController().signal,
      stopGraceMs: 0,
      outputLimitBytes: 100,
    });
    expect(result).toMatchObject({
      kind: 'not-started',
      message: expect.stringContaining('permission denied (EACCES)'),
    });
  });

  it.each([
    { of: 'a zero byte', argument: 'a\0b', why: /ERR_INVALID_ARG_VALUE/ },
    { of: 'more than the system takes', argument: 'x'.repeat(3_000_000), why: /E2BIG/ },
  ])('tells why with $of in its arguments', async ({ argument, why }) => {
    const limits = { timeLimitMs: 1000, env: { PATH } };
    const stop = new AbortController().signal;
    const bounds = { ...limits, stop, stopGraceMs: 0, outputLimitBytes: 100 };
    const detached = { ...limits, directory: temporaryDirectory() };
    for (const result of [
      await runCommand('true', [argument], bounds),
      await runDetached('true', [argument], detached),
    ]) {
      expect(result).toMatchObject({ kind: 'not-started', message: expect.stringMatching(why) });
    }
  });

  it('is not started at all when the daemon is stopping', async () => {
    const directory = temporaryDirectory();
    const result = await run(`touch ${directory}/started`, { stop: AbortSignal.abort() });
    expect(result).toMatchObject({ kind: 'not-started' });
    expect(existsSync(join(directory, 'started'))).toBe(false);
  });
});

describe('a command that does not end', () => {
  it('is ended at the time limit with all that it started', async () => {
    const directory = temporaryDirectory();
    const work = run(stubbornScript(directory), { timeLimitMs: 500 });
    const { result, tookMs } = await timed(work);
    expect(result).toStrictEqual({
      kind: 'timed-out',
      left: false,
      stdout: 'ready\n',
      stderr: '',
    });
    expect(idsIn(directory).filter(runs)).toStrictEqual([]);
    // SIGTERM, 1 s of grace, SIGKILL.
    expect(tookMs).toBeGreaterThan(1_400);
    expect(tookMs).toBeLessThan(PATIENCE_MS);
  });

  // A shell that is started within the limit, which may be too short for it.
  it('may clean up upon SIGTERM', { retry: 5 }, async () => {
    const script = "trap 'echo cleaned; exit 0' TERM; while :; do sleep 0.05; done";
    const result = await run(script, { timeLimitMs: 300 });
    expect(result).toMatchObject({ kind: 'timed-out', stdout: 'cleaned\n' });
  });

  it('gets some more time when the daemon stops, and is then ended', async () => {
    const stopping = new AbortController();
    const { signal: stop } = stopping;
    const directory = temporaryDirectory();
    const [one = '', other = '', end = ''] = ['one', 'other', 'end'].map((name) =>
      join(directory, name),
    );
    const waiting = `touch ${one}; until [ -e ${end} ]; do sleep 0.05; done; echo finished`;
    const finishing = run(waiting, { stop, stopGraceMs: PATIENCE_MS });
    const hanging = run(`touch ${other}; sleep 300`, { stop, stopGraceMs: 400 });
    await until(() => existsSync(one) && existsSync(other));
    stopping.abort();
    const { result, tookMs } = await timed(hanging);
    expect(result).toMatchObject({ kind: 'stopped', left: false });
    expect(tookMs).toBeGreaterThan(390);
    writeFileSync(end, '');
    expect(await finishing).toMatchObject({ kind: 'exited', stdout: 'finished\n' });
  });
});

describe('output', () => {
  it('of many megabytes is cut, and does not hold the command up or fill the memory', async () => {
    const before = process.memoryUsage().rss;
    const script = 'head -c 200000000 /dev/zero | tr "\\0" x; echo end >&2';
    const result = await run(script, { outputLimitBytes: 1000 });
    expect(result).toStrictEqual({
      kind: 'exited',
      exitCode: 0,
      stdout: 'x'.repeat(1000),
      stderr: 'end\n',
    });
    expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000);
  });

  it('that a grandchild holds open is not waited for', async () => {
    const directory = temporaryDirectory();
    const script = `sleep 30 & echo $! >${directory}/grandchild; echo done; exit 3`;
    const { result, tookMs } = await timed(run(script));
    expect(result).toMatchObject({ kind: 'exited', exitCode: 3, stdout: 'done\n' });
    expect(tookMs).toBeLessThan(10_000);
    const pid = Number(readFileSync(join(directory, 'grandchild'), 'utf8'));
    // What a command leaves behind on purpose is left alone.
    expect(runs(pid)).toBe(true);
    process.kill(pid, 'SIGKILL');
  });
});

it('no more than four commands run at once, and all get their turn', async () => {
  const directory = temporaryDirectory();
  const script = `touch ${directory}/$$; ls ${directory} | wc -l; sleep 0.15; rm ${directory}/$$`;
  const results = await Promise.all(Array.from({ length: 10 }, () => run(script)));
  const counts = results.map((result) => ('stdout' in result ? Number(result.stdout) : -1));
  expect(counts.length).toBe(10);
  expect(Math.min(...counts)).toBeGreaterThanOrEqual(1);
  expect(Math.max(...counts)).toBeLessThanOrEqual(4);
});
