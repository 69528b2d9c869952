import {
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hungry, NodeUnderTest } from '../e2e/node-under-test.ts';
import { httpServer } from '../notify/http-server.ts';

/** Links that somebody has laid where the real program writes, to a file that is none of its. */

const SECRET = 'root:$y$j9T$not-for-anybody:20000::::::\n';
const STATE = 'var/lib/lxc_autoscale';

interface Victim {
  readonly under: NodeUnderTest;
  readonly shadow: string;
  /** Throws where the file outside was touched. */
  check(): void;
}

async function victim(yaml = ''): Promise<Victim> {
  const under = await NodeUnderTest.create([hungry(102)]);
  const messages = await httpServer({ kind: 'answers', status: 503 });
  under.configure(
    `DEFAULT:\n  poll_interval: 1\n  gotify_url: ${messages.url}\n  gotify_token: tok3n\n${yaml}`,
  );
  const shadow = join(under.root, 'etc/shadow');
  mkdirSync(dirname(shadow), { recursive: true });
  writeFileSync(shadow, SECRET);
  chmodSync(shadow, 0o604);
  return {
    under,
    shadow,
    check() {
      expect(readFileSync(shadow, 'utf8')).toBe(SECRET);
      expect((statSync(shadow).mode & 0o7777).toString(8)).toBe('604');
    },
  };
}

type Lay = (target: string, place: string) => void;
const KINDS: Readonly<Record<'symbolic' | 'hard', Lay>> = { symbolic: symlinkSync, hard: linkSync };

function lay(kind: keyof typeof KINDS, { under, shadow }: Victim, name: string): void {
  const place = join(under.root, name);
  mkdirSync(dirname(place), { recursive: true, mode: 0o755 });
  rmSync(place, { force: true });
  KINDS[kind](shadow, place);
}

/** What the program does where the link is: says so and goes on, or puts its own file there. */
type Then = 'told' | 'told and nothing changed' | 'replaced' | 'not started';

const ANYTHING = /(?:)/;
const PLACES: readonly (readonly [string, Then, RegExp])[] = [
  ['var/log/lxc_autoscale.log', 'told', /log file .* is a (symbolic|hard) link/],
  ['var/log/lxc_autoscale.json', 'told and nothing changed', /json: it is a (symbolic|hard) link/],
  ['var/log/.lxc_autoscale.probe', 'replaced', ANYTHING],
  [`${STATE}/state.json`, 'replaced', ANYTHING],
  [`${STATE}/.state.json.tmp`, 'replaced', ANYTHING],
  [`${STATE}/messages.json`, 'replaced', ANYTHING],
  [`${STATE}/.messages.json.tmp`, 'replaced', ANYTHING],
  [`${STATE}/backups/.lxc_autoscale.probe`, 'replaced', ANYTHING],
  ['var/lock/lxc_autoscale.lock', 'told', /lock_file .* does not hold the process id/],
  ['run/lxc_autoscale/lock', 'not started', /can't be taken: .*(symbolic|hard) link/],
  ['var/lib/figures.prom', 'replaced', ANYTHING],
  ['var/lib/.figures.prom.tmp', 'replaced', ANYTHING],
];
const LOCK_AND_FIGURES =
  '  lock_file: /var/lock/lxc_autoscale.lock\n  metrics_textfile: /var/lib/figures.prom\n';

describe.each(['symbolic', 'hard'] as const)('a %s link', (kind) => {
  it.each(PLACES)('in place of %s: %s', async (name, then, words) => {
    const own = await victim(LOCK_AND_FIGURES);
    lay(kind, own, name);
    const { code, stdout, stderr } = await own.under.run(['once']);
    own.check();
    expect(`${stdout}${stderr}`).toMatch(words);
    expect(`${stdout}${stderr}`).not.toMatch(/internal error/);
    expect(own.under.sets().length > 0).toBe(then === 'told' || then === 'replaced');
    expect(code === 0).toBe(then !== 'not started');
  });
});

describe('a link to a directory', () => {
  const DIRECTORIES: readonly (readonly [string, RegExp])[] = [
    [`${STATE}/backups/102`, /backup .* could not be written .* symbolic link/],
    [STATE, /could not be saved .* symbolic link/],
  ];
  it.each(DIRECTORIES)(
    'in place of %s is not followed',
    { timeout: 240_000 },
    async (name, words) => {
      const own = await victim();
      const elsewhere = join(own.under.root, 'etc/elsewhere');
      mkdirSync(elsewhere, { mode: 0o705 });
      const place = join(own.under.root, name);
      mkdirSync(dirname(place), { recursive: true });
      symlinkSync(elsewhere, place);
      const { stdout, stderr } = await own.under.run(['once']);
      expect(`${stdout}${stderr}`).toMatch(words);
      expect((statSync(elsewhere).mode & 0o7777).toString(8)).toBe('705');
      own.check();
    },
  );

  it('in place of the directory of the lock keeps the daemon from starting', async () => {
    const own = await victim();
    const elsewhere = join(own.under.root, 'etc/elsewhere');
    mkdirSync(elsewhere, { mode: 0o705 });
    mkdirSync(join(own.under.root, 'run'), { recursive: true });
    symlinkSync(elsewhere, join(own.under.root, 'run/lxc_autoscale'));
    const { code, stderr } = await own.under.run(['daemon']);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^The lock .* symbolic link.*\n$/)]);
    expect((statSync(elsewhere).mode & 0o7777).toString(8)).toBe('705');
  });

  it('in place of the history of usage is not followed', async () => {
    const own = await victim();
    const day = new Date().toISOString().slice(0, 10);
    for (const kind of ['symbolic', 'hard'] as const) {
      lay(kind, own, `${STATE}/usage/${day}.001.csv`);
      const { stdout } = await own.under.run(['once']);
      expect(stdout).toMatch(/usage history cannot be written .*(symbolic|hard) link/);
      own.check();
    }
  });
});

it('a directory in place of the half-written textfile does not end the program', async () => {
  const own = await victim(LOCK_AND_FIGURES);
  mkdirSync(join(own.under.root, 'var/lib/.figures.prom.tmp/x'), { recursive: true });
  const daemon = own.under.start(['daemon']);
  await daemon.saying(/No metrics are written: (.*\n)*.*Next run in(.*\n)*.*Next run in/);
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
});
