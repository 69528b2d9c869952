import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { handToSendmail } from '../../src/os/sendmail.ts';
import { plant, temporaryDirectory } from '../node/local/world.ts';

const NEVER = new AbortController().signal;

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** A program `sendmail`, and the environment in which it is found first. */
function sendmail(script: string) {
  const directory = temporaryDirectory();
  plant(directory, { sendmail: `#!/bin/sh\ncd ${directory}\n${script}\n` });
  chmodSync(join(directory, 'sendmail'), 0o755);
  return { directory, env: { PATH: `${directory}:${process.env['PATH']}` } };
}

describe('a mail to root', () => {
  it('is handed over whole', async () => {
    const { directory, env } = sendmail('echo "$@" >arguments; cat >mail');
    const mail = `Subject: x\r\n\r\n${'line\r\n.\r\n'.repeat(20_000)}`;
    expect(await handToSendmail(mail, env, NEVER)).toEqual({ ok: true, said: '' });
    expect(readFileSync(join(directory, 'mail'), 'utf8')).toBe(mail);
    expect(readFileSync(join(directory, 'arguments'), 'utf8')).toBe('-i root\n');
  });

  it.each([
    ['echo "queue is full" >&2; exit 75', 'sendmail failed (exit code 75): queue is full'],
    ['exit 1', 'sendmail failed (exit code 1)'],
    ['kill -TERM $$', 'sendmail failed (ended by SIGTERM)'],
  ])('is not where it says so: %s', async (script, why) => {
    // A mail that it does not read, longer than a pipe holds.
    const handed = await handToSendmail('x'.repeat(1_000_000), sendmail(script).env, NEVER);
    expect(handed).toEqual({ ok: false, why });
  });

  it('is given up when the daemon stops, with all that was started for it', async () => {
    const { directory, env } = sendmail('sleep 60 & echo $! >child; wait');
    const stop = new AbortController();
    const handing = handToSendmail('x', env, stop.signal);
    let child = '';
    while (child === '') {
      await new Promise((resolve) => setTimeout(resolve, 20));
      try {
        child = readFileSync(join(directory, 'child'), 'utf8').trim();
      } catch {
        // It is not there yet.
      }
    }
    stop.abort();
    expect(await handing).toMatchObject({ ok: false });
    expect((await handing) as object).toHaveProperty('why', expect.stringMatching(/daemon stops/));
    await expect.poll(() => isAlive(Number(child))).toBe(false);
  });
});
