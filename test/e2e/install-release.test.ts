import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { FILES } from '../../tools/build/bundles.ts';
import { ran } from '../ran.ts';

/** What `npm run release` makes, and the scripts that it is made of. */

const CHECKOUT = new URL('../..', import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), 'lxc-autoscale-release-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

async function release(name: string, mask: string): Promise<Record<string, Buffer>> {
  const out = join(scratch, name);
  const script = `umask ${mask}; exec bash tools/release.sh --out "$1" --url https://example.org/r`;
  const made = await ran('bash', ['-c', script, 'release', out], {
    cwd: CHECKOUT,
    env: { ...process.env, LC_ALL: 'C', TZ: mask === '077' ? 'Asia/Tokyo' : 'UTC' },
  });
  expect(made.stderr).toBe('');
  expect(made.status).toBe(0);
  return Object.fromEntries(readdirSync(out).map((file) => [file, readFileSync(join(out, file))]));
}

describe('a release', () => {
  it('has the same bytes each time, with a checksum that holds', async () => {
    const first = await release('first', '022');
    const second = await release('second', '077');
    const { version } = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8'));
    const archive = `lxc-autoscale-${version}.tar.gz`;
    expect(Object.keys(first)).toEqual(
      expect.arrayContaining([archive, `${archive}.sha256`, 'install.sh', 'lxc-autoscale.sha256']),
    );
    expect(Object.keys(second)).toEqual(Object.keys(first));
    for (const [file, bytes] of Object.entries(first)) {
      expect(`${file}: ${bytes.equals(second[file] ?? Buffer.alloc(0))}`).toBe(`${file}: true`);
    }
    const checked = spawnSync('sha256sum', ['--check', '--strict', `${archive}.sha256`], {
      cwd: join(scratch, 'first'),
    });
    expect(checked.status).toBe(0);
    expect(String(first['install.sh'])).toContain("\nRELEASE_URL='https://example.org/r'\n");
    // A download of about a megabyte, pictures included; Node itself is twenty times as large.
    expect(first[archive]?.length).toBeLessThan(1_200_000);
  });

  it('knows the commands and options of the program in its manual page and completions', () => {
    const out = join(scratch, 'files');
    const made = spawnSync('bash', ['tools/release.sh', '--lay-out', out], { cwd: CHECKOUT });
    expect(made.status).toBe(0);
    const page = readFileSync(join(out, 'lxc-autoscale.1'), 'utf8').replaceAll('\\-', '-');
    const bash = readFileSync(join(out, 'completions/lxc-autoscale.bash'), 'utf8');
    for (const word of ['daemon', 'check-config', 'rollback', '--dry-run', '--poll_interval']) {
      expect(page).toContain(word);
      expect(bash).toMatch(new RegExp(`[' ]${word}[' ]`));
    }
    expect(page).toMatch(/^\.TH LXC-AUTOSCALE 1 "\d{4}-\d\d-\d\d" "lxc-autoscale \d/m);
    expect(readFileSync(join(out, 'completions/_lxc-autoscale'), 'utf8')).toMatch(/^#compdef/);
    const schema = JSON.parse(readFileSync(join(out, 'lxc_autoscale.schema.json'), 'utf8'));
    expect(Object.keys(schema.properties.DEFAULT.properties)).toContain('poll_interval');
    expect(readdirSync(join(out, 'examples'))).toEqual(readdirSync(join(CHECKOUT, 'examples')));
    expect(readFileSync(join(out, 'NOTICE'), 'utf8')).toMatch(/^zod \d\S+ \(MIT\)$/m);
    const parts = JSON.parse(readFileSync(join(out, 'lxc-autoscale.cdx.json'), 'utf8'));
    const files = FILES.map((name) => {
      const content = createHash('sha256')
        .update(readFileSync(join(out, name)))
        .digest('hex');
      return { name, hashes: [{ alg: 'SHA-256', content }] };
    });
    expect(parts.metadata.component.components).toMatchObject(files);
    // The daemon moves its logs aside itself.
    expect(readdirSync(out).filter((name) => name.includes('logrotate'))).toEqual([]);
    expect(statSync(join(out, 'lxc-autoscale')).mode & 0o777).toBe(0o755);
    const complete = 'source "$1"; COMP_WORDS=(lxc-autoscale che); COMP_CWORD=1; _lxc_autoscale;';
    const said = spawnSync(
      'bash',
      [
        '-c',
        `${complete} echo "\${COMPREPLY[*]}"`,
        'x',
        join(out, 'completions/lxc-autoscale.bash'),
      ],
      { encoding: 'utf8' },
    );
    expect(said.stdout).toBe('check-config\n');
  });
});

it('the Debian package has every file, and the licences in their place', async (context) => {
  if (spawnSync('dpkg-deb', ['--version']).error !== undefined) context.skip('no dpkg-deb');
  const files = await release('deb', '022');
  const name = Object.keys(files).find((file) => file.endsWith('.deb')) ?? '';
  const to = join(scratch, 'deb-root');
  expect(spawnSync('dpkg-deb', ['--extract', join(scratch, 'deb', name), to]).status).toBe(0);
  const doc = join(to, 'usr/share/doc/lxc-autoscale');
  const copyright = readFileSync(join(doc, 'copyright'), 'utf8');
  expect(copyright).toBe(
    `${readFileSync(join(CHECKOUT, 'LICENSE'), 'utf8')}\n` +
      readFileSync(join(CHECKOUT, 'NOTICE'), 'utf8'),
  );
  expect(statSync(join(doc, 'copyright')).mode & 0o777).toBe(0o644);
  expect(readdirSync(doc)).toContain('lxc-autoscale.cdx.json');
  expect(readdirSync(join(to, 'usr/lib/lxc_autoscale'))).toEqual(
    expect.arrayContaining([...FILES]),
  );
});

describe('the scripts', () => {
  const scripts = [
    'install.sh',
    'uninstall.sh',
    'tools/release.sh',
    'systemd/lxc-autoscale',
    ...readdirSync(join(CHECKOUT, 'tools/deb')).map((name) => `tools/deb/${name}`),
  ];

  it('please shellcheck', (context) => {
    if (spawnSync('shellcheck', ['--version']).error !== undefined) {
      context.skip('there is no shellcheck (Debian: apt-get install shellcheck)');
    }
    const checked = spawnSync('shellcheck', scripts, { cwd: CHECKOUT, encoding: 'utf8' });
    expect(checked.stdout).toBe('');
    expect(checked.status).toBe(0);
  });

  it.each(['install.sh', 'uninstall.sh'])('do nothing where %s is cut short', (name) => {
    const lines = readFileSync(join(CHECKOUT, name), 'utf8').split('\n');
    const call = lines.findIndex((line) => line.startsWith('main "$@"'));
    expect(lines[call]).toBeDefined();
    for (const end of [10, 60, 120, call]) {
      const part = lines.slice(0, end).join('\n');
      const { stdout } = spawnSync('bash', [], { input: part, encoding: 'utf8', cwd: scratch });
      expect(stdout).toBe('');
    }
  });

  it.each(['install.sh', 'uninstall.sh'])('%s says what it can do, and what it cannot', (name) => {
    const script = join(CHECKOUT, name);
    const shown = spawnSync('bash', [script, '--help'], { encoding: 'utf8' });
    expect(shown.status).toBe(0);
    expect(shown.stdout).toMatch(/--yes +ask nothing/);
    const wrong = spawnSync('bash', [script, '--no-such-thing'], { encoding: 'utf8' });
    expect(wrong.status).toBe(1);
    expect(wrong.stderr).toBe(`${name}: unknown option '--no-such-thing'; --help lists them\n`);
  });
});
