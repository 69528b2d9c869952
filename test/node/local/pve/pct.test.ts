import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mib, milliseconds } from '../../../../src/core/units.ts';
import { outcomeOf } from '../../../../src/node/local/outcome-values.ts';
import { createPct, setArguments } from '../../../../src/node/local/pve/pct.ts';
import type { SetRequest } from '../../../../src/node/port.ts';
import { plant, temporaryDirectory, vmid } from '../world.ts';

const DIGEST = 'da39a3ee5e6b4b0d3255bfef95601890afd80709';
const request: SetRequest = { vmid: vmid(101), cores: 3, memoryMib: mib(768), digest: DIGEST };
const never = new AbortController().signal;

describe('the arguments of pct set', () => {
  it.each<[Partial<SetRequest>, string]>([
    [{ cores: 3, memoryMib: mib(768) }, 'set 101 --cores 3 --memory 768'],
    [{ cores: 3 }, 'set 101 --cores 3'],
    [{ memoryMib: mib(768) }, 'set 101 --memory 768'],
    [{ cores: null }, 'set 101 --delete cores'],
    [{ cores: null, memoryMib: mib(16) }, 'set 101 --delete cores --memory 16'],
    [{ cpuLimit: 0.5 }, 'set 101 --cpulimit 0.5'],
    [{ cpuLimit: 2, cores: 3 }, 'set 101 --cores 3 --cpulimit 2'],
    [{ cpuLimit: 0.1 + 0.2 }, 'set 101 --cpulimit 0.3'],
    [{ cpuLimit: 8191.999 }, 'set 101 --cpulimit 8192'],
    [{ cpuLimit: 0.0061 }, 'set 101 --cpulimit 0.01'],
    [{ cpuLimit: null }, 'set 101 --delete cpulimit'],
    [{ cpuLimit: null, cores: null }, 'set 101 --delete cores,cpulimit'],
    [{ cpuLimit: null, cores: 2 }, 'set 101 --delete cpulimit --cores 2'],
    [{ cpuLimit: 0.25, cores: null }, 'set 101 --delete cores --cpulimit 0.25'],
  ])('for %j', (change, expected) => {
    const args = setArguments({ vmid: vmid(101), digest: DIGEST, ...change });
    expect(args.join(' ')).toBe(`${expected} --digest ${DIGEST}`);
  });
});

/** A pct of our own in a directory that becomes the PATH. */
function withPct(script: string, options = {}) {
  const directory = temporaryDirectory();
  plant(directory, { 'bin/pct': `#!/bin/bash\ncd "${directory}"\n${script}\n` });
  chmodSync(join(directory, 'bin/pct'), 0o755);
  const PATH = `${directory}/bin:/usr/bin:/bin`;
  const environment = { PATH, HOME: '/nowhere', GOTIFY_TOKEN: 'secret' };
  return { directory, pct: createPct({ environment, ...options }) };
}

describe('pct set', () => {
  it('is started once, in a UTF-8 locale, and is handed no secret', async () => {
    const { directory, pct } = withPct('printf "%s\\n" "$@" >>args; env >env');
    expect(await pct.apply(request, never)).toStrictEqual({ kind: 'done' });
    expect(readFileSync(join(directory, 'args'), 'utf8').split('\n')).toStrictEqual([
      'set',
      '101',
      '--cores',
      '3',
      '--memory',
      '768',
      '--digest',
      DIGEST,
      '',
    ]);
    const env = readFileSync(join(directory, 'env'), 'utf8');
    expect(env).toContain('LC_ALL=C.UTF-8\n');
    expect(env).toContain('HOME=/nowhere\n');
    expect(env).not.toContain('secret');
  });

  it('has succeeded when it exits 0, whatever it says on stderr', async () => {
    const { pct } = withPct('echo "vm 103 - unable to parse config: nonsense" >&2');
    expect(await pct.apply(request, never)).toStrictEqual({ kind: 'done' });
  });

  it('is missed when it is not installed', async () => {
    const pct = createPct({ environment: { PATH: '/nowhere' } });
    expect(await pct.apply(request, never)).toStrictEqual({
      kind: 'not-started',
      message: expect.stringMatching(/^the program pct was not found in \/nowhere:.*\/usr\/sbin:/),
    });
  });

  it('is ended when it hangs', async () => {
    const { pct } = withPct('sleep 300', { timeLimitMs: milliseconds(300) });
    expect(await pct.apply(request, never)).toStrictEqual({
      kind: 'timed-out',
      afterMs: 300,
      message: 'pct set 101 took longer than 0.3 s and was ended',
    });
  });

  it('may finish when the daemon stops, but not for ever', async () => {
    const { pct } = withPct('sleep 300', { stopGraceMs: milliseconds(100) });
    const stopping = new AbortController();
    setTimeout(() => stopping.abort(), 50);
    expect(await pct.apply(request, stopping.signal)).toMatchObject({
      kind: 'killed',
      message: 'pct set 101 had not finished when the daemon stopped and was ended',
    });
  });

  it('that prints garbage leaves one bounded line', async () => {
    const { pct } = withPct('head -c 3000000 /dev/urandom >&2; exit 9');
    const outcome = await pct.apply(request, never);
    expect(outcome).toMatchObject({ kind: 'failed', exitCode: 9 });
    const message = outcome.kind === 'failed' ? outcome.message : '';
    expect(message.length).toBeLessThanOrEqual(300);
    expect(message).toMatch(/^[^\p{Cc}]+$/u);
  });

  it.each<[string, Partial<SetRequest>]>([
    ['nothing to change', { cores: undefined as never, memoryMib: undefined as never }],
    ['a part of a core', { cores: 1.5 }],
    ['no number', { cores: Number.NaN }],
    ['no core', { cores: 0 }],
    ['no quota, which pct refuses of a running container', { cpuLimit: 0 }],
    ['a quota that would be rounded to none', { cpuLimit: 0.004 }],
    ['a negative quota', { cpuLimit: -1 }],
    ['a quota beyond what pct takes', { cpuLimit: 8192.1 }],
    ['an endless quota', { cpuLimit: Number.POSITIVE_INFINITY }],
    ['a quota that is no number', { cpuLimit: Number.NaN }],
    ['too little memory', { memoryMib: mib(15) }],
    ['a part of a MiB', { memoryMib: mib(512.5) }],
    ['a digest that could be an option', { digest: '--delete' }],
  ])('is not started for %s', async (_, change) => {
    const { directory, pct } = withPct('touch started');
    const outcome = await pct.apply({ ...request, ...change }, never);
    expect(outcome).toMatchObject({ kind: 'not-started' });
    expect(existsSync(join(directory, 'started'))).toBe(false);
  });
});

describe('what became of a command', () => {
  it('that failed is said by a kind, and by a line for people', () => {
    const stderr = 'CT is locked (backup)\n';
    const result = { kind: 'exited', exitCode: 255, stdout: '', stderr } as const;
    expect(outcomeOf(result, 'pct set 101', milliseconds(1000))).toEqual({
      kind: 'failed',
      why: 'locked',
      exitCode: 255,
      message: 'another operation has locked the container: CT is locked (backup)',
    });
  });

  it.each([
    [{ kind: 'killed', signal: 'SIGKILL', stdout: '', stderr: '' }, 'ended by SIGKILL'],
    [{ kind: 'timed-out', left: true, stdout: '', stderr: '' }, 'could not be ended'],
  ] as const)('%j', (result, expected) => {
    const outcome = outcomeOf(result, 'pct set 101', milliseconds(1000));
    expect('message' in outcome && outcome.message).toContain(expected);
  });
});
