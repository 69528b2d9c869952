import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** What the installer takes for a secret in a configuration. */

const script = new URL('../../install.sh', import.meta.url).pathname;
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'secrets-'));
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

function modeAfter(text: string): string {
  const file = join(directory, 'config.yaml');
  writeFileSync(file, `${text}\n`);
  const source = 'set -euo pipefail; eval "$(sed -n "/^guard_secrets() {/,/^}/p" "$1")"';
  const run = `${source}; chmod 0644 "$CONFIG"; guard_secrets`;
  const args = ['-c', run, 'bash', script];
  const env = { ...process.env, CONFIG: file };
  const { status, stderr } = spawnSync('bash', args, { encoding: 'utf8', env });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return (statSync(file).mode & 0o777).toString(8);
}

describe('a configuration', () => {
  it.each([
    '  token: abc',
    '  "smtp_password": abc',
    "  'token': abc",
    "  - {token: abc, password: ''}",
    "  - {password: '', token: abc}",
    '  - {password: $' + '{P}, token: abc}',
    '  token: $' + '{PREFIX}abc',
    '  token_secret: |',
    '  tokens: [abc]',
  ])('with the secret in %j is for root alone', (text) => {
    expect(modeAfter(text)).toBe('600');
  });

  it.each([
    '  token: ""',
    "  token: '' # later",
    '  tokens: []',
    '  tokens:',
    '  password: # none',
    '  # token: abc',
    '  token: $' + '{TOKEN}',
    "  - {token: '$" + "{TOKEN}', password: ''}",
    '  token_count: 3',
  ])('without one, as %j, may be read by its group', (text) => {
    expect(modeAfter(text)).toBe('640');
  });
});
