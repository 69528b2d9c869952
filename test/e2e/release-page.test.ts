import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ran } from '../ran.ts';

/** What a release page has: one file to run, signed checksums, an apt repository. */

const CHECKOUT = new URL('../..', import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), 'lxc-autoscale-page-'));
const page = join(scratch, 'page');
const one = join(page, 'lxc-autoscale.run');
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function sh(script: string, env: Readonly<Record<string, string>> = {}, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', ...args], {
    cwd: scratch,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { status, stdout, stderr };
}

const canSign = spawnSync('ssh-keygen', ['-?']).error === undefined;
beforeEach((context) => {
  if (!canSign) context.skip('there is no ssh-keygen');
});

beforeAll(async () => {
  if (!canSign) return;
  expect(
    sh('ssh-keygen -q -t ed25519 -N "" -C "" -f key; ssh-keygen -q -t ed25519 -N "" -f other'),
  ).toMatchObject({ status: 0 });
  const options = ['--out', page, '--url', 'https://example.org/r', '--key', `${scratch}/key`];
  const made = await ran('bash', ['tools/release.sh', ...options], { cwd: CHECKOUT });
  expect(made).toMatchObject({ status: 0, stderr: '' });
});

it('has everything, each in the signed checksums', () => {
  const names = readdirSync(page);
  expect(names).toEqual(
    expect.arrayContaining(['install.sh', 'uninstall.sh', 'lxc-autoscale.run']),
  );
  const listed = readFileSync(join(page, 'SHA256SUMS'), 'utf8').match(/\S+$/gm) ?? [];
  expect([...listed, 'SHA256SUMS', 'SHA256SUMS.sig'].sort()).toEqual(names.sort());
  expect(sh(`cd ${page} && sha256sum --check --strict --quiet SHA256SUMS`).status).toBe(0);
  const inside = sh(`tar -tzf ${page}/*.tar.gz`).stdout;
  const wanted = [
    'docs/openapi.json',
    'docs/images/guests.png',
    'grafana/alerts.yaml',
    'grafana/scrape.yaml',
    'docs/install.md',
    'SECURITY.md',
  ];
  for (const file of wanted) expect(inside).toContain(`/${file}\n`);
});

describe('the one file', () => {
  it('runs commands, and leaves nothing behind', () => {
    const TMPDIR = join(scratch, 'tmp');
    mkdirSync(TMPDIR);
    const said = sh(`sh ${one} version; sh ${one} rollback`, { TMPDIR });
    expect(said.stdout).toMatch(/^lxc-autoscale \d/);
    expect(said).toMatchObject({ status: 64, stderr: expect.stringContaining('rollback needs') });
    expect(readdirSync(TMPDIR)).toEqual([]);
  });

  it('has the commands of both bundles', () => {
    writeFileSync(join(scratch, 'old.conf'), '[DEFAULT]\npoll_interval = 60\n');
    expect(sh(`sh ${one} migrate-config old.conf`).stdout).toContain('poll_interval: 60\n');
  });

  it('hands its options to the installer', () => {
    const help = sh(`sh ${one} install --help`);
    expect(help.stdout).toContain('--overwrite-config');
    expect(help.status).toBe(0);
  });

  it('does nothing if half of it is missing', () => {
    const whole = readFileSync(one);
    for (const part of [200, 1200, 2000, whole.length - 1]) {
      writeFileSync(join(scratch, 'part.run'), whole.subarray(0, part));
      const said = sh('sh part.run version');
      expect(said.stdout).toBe('');
      if (part > 2000) expect(said.stderr).toMatch(/^lxc-autoscale: this file is not whole/);
    }
  });
});

describe('install.sh', () => {
  it('without an address says so first, whatever the machine', () => {
    copyFileSync(join(CHECKOUT, 'install.sh'), join(scratch, 'bare.sh'));
    const said = sh('bash <bare.sh');
    expect(said).toMatchObject({ status: 1, stdout: '' });
    expect(said.stderr).toMatch(
      /^install\.sh: this install\.sh has no download address built in\./,
    );
  });

  /** The functions that check a signature, with downloads from a directory. */
  function checked(directory: string) {
    const script = readFileSync(join(page, 'install.sh'), 'utf8');
    const verify = /^verify_signed\(\) \{\n[\s\S]*?^\}\n/m.exec(script)?.[0];
    const key = /^RELEASE_KEY=.*$/m.exec(script)?.[0];
    return sh(
      `set -euo pipefail; ${key}; fail() { echo "$*"; exit 1; }
      download() { cp "$1" "$2"; }; new_files=$(mktemp -d); trap 'rm -rf "$new_files"' EXIT
      cp "$1"/*.tar.gz.sha256 "$new_files/release.tar.gz.sha256"
      ${verify}
      verify_signed "$1" "$(cd "$1" && echo *.tar.gz)"`,
      {},
      directory,
    );
  }

  it('takes a release that is signed by its key, and no other', () => {
    expect(checked(page)).toMatchObject({ status: 0, stdout: '' });
    const forged = join(scratch, 'forged');
    expect(sh(`cp -R ${page} ${forged}`).status).toBe(0);
    const sums = join(forged, 'SHA256SUMS');
    const sum = /^\S+/;
    const name = readdirSync(page).find((file) => file.endsWith('.tar.gz.sha256')) ?? '';
    const other = readFileSync(join(forged, name), 'utf8').replace(sum, '0'.repeat(64));
    writeFileSync(join(forged, name), other);
    expect(checked(forged).stdout).toContain('the signed SHA256SUMS does not have this lxc-auto');
    writeFileSync(sums, `${readFileSync(sums, 'utf8')}${other}`);
    expect(checked(forged).stdout).toContain('the signature of');
    expect(
      sh(`rm ${sums}.sig; ssh-keygen -q -Y sign -f other -n lxc-autoscale ${sums}`).status,
    ).toBe(0);
    expect(checked(forged).stdout).toContain('the signature of');
  });
});

it('the apt repository is taken by apt if the key is known, and refused otherwise', (context) => {
  for (const tool of ['gpg', 'dpkg-deb', 'apt-get']) {
    if (spawnSync(tool, ['--version']).error !== undefined) context.skip(`there is no ${tool}`);
  }
  const home = join(scratch, 'gpg');
  mkdirSync(home, { mode: 0o700 });
  const env = { GNUPGHOME: home };
  const made = sh(
    `gpg --batch --quiet --passphrase '' --quick-gen-key t@example.org ed25519 sign never &&
    cd ${CHECKOUT} && bash tools/release-apt.sh --gpg-key t@example.org --from ${page} \
      --out ${scratch}/apt; gpgconf --kill all`,
    env,
  );
  expect(made).toMatchObject({ status: 0 });
  const apt = (signedBy: string) =>
    sh(
      `mkdir -p root/lists/partial root/cache/archives/partial root/parts && touch root/status
      echo 'deb [signed-by=${signedBy}] file:${scratch}/apt ./' >root/sources.list
      options="-o Dir::State::Lists=$PWD/root/lists -o Dir::State::Status=$PWD/root/status
        -o Dir::Cache=$PWD/root/cache -o Dir::Etc::SourceList=$PWD/root/sources.list
        -o Dir::Etc::SourceParts=$PWD/root/parts -o APT::Sandbox::User=root"
      apt-get $options update 2>&1 && apt-cache $options policy lxc-autoscale`,
      env,
    );
  expect(apt(`${scratch}/none.asc`).status).not.toBe(0);
  expect(apt(`${scratch}/apt/lxc-autoscale.asc`).stdout).toMatch(/Candidate: \d/);
});
