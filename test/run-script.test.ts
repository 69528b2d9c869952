import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryDirectory } from './node/local/world.ts';
import { ran } from './ran.ts';

/** What `npm test` installs, and what it leaves out: run.sh with programs that only take notes. */

const SHIMS: Readonly<Record<string, string>> = {
  'apt-get': 'echo "apt-get $*" >>"$NOTES"',
  npm: 'echo "npm $*" >>"$NOTES"',
  node:
    'echo vitest as "$NPM_TEST." >>"$NOTES"; ' +
    'echo "3 passed, 0 failed, 2 skipped" >"$PLAIN_REPORT_FILE"',
};

/** What run.sh itself is made of. None of the tools that it may install is among them. */
const NEEDED = ['bash', 'cat', 'chmod', 'dirname', 'head', 'mktemp', 'rm', 'tail'];

/** Only root could install something. */
const ROOT = '0';
const NOT_ROOT = '1000';

async function run(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  uid = NOT_ROOT,
) {
  const checkout = temporaryDirectory();
  const [bin, notes] = [join(checkout, 'bin'), join(checkout, 'notes')];
  for (const directory of [bin, join(checkout, 'test'), join(checkout, 'node_modules')]) {
    mkdirSync(directory);
  }
  cpSync(new URL('run.sh', import.meta.url).pathname, join(checkout, 'test/run.sh'));
  writeFileSync(join(checkout, 'node_modules/.package-lock.json'), '{}');
  for (const name of NEEDED) {
    const path = ['/usr/bin', '/bin'].map((one) => join(one, name)).find((one) => existsSync(one));
    if (path !== undefined) symlinkSync(path, join(bin, name));
  }
  for (const [name, script] of Object.entries({ ...SHIMS, id: `echo ${uid}` })) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  const given = { PATH: bin, NOTES: notes, ...env };
  const { status, stdout } = await ran('/bin/bash', ['test/run.sh', ...args], {
    cwd: checkout,
    env: given,
  });
  return { status, said: stdout, did: readFileSync(notes, 'utf8') };
}

it('a plain npm test installs nothing, and names what it leaves out', async () => {
  const { status, said, did } = await run([], {}, ROOT);
  expect(status).toBe(0);
  expect(said).toContain('   debootstrap: the installer, in Debian trees\n');
  expect(said).toContain('Debian trees, a kernel, Prometheus and other versions of Node');
  expect(said).toContain('npm test -- --all');
  expect(did).toContain('vitest as plain.');
  expect(did).not.toContain('apt-get');
  expect(said).toMatch(/\n3 passed, 0 failed, [23] skipped\n$/);
});

it.each([
  [['--all'], {}],
  [[], { CI: 'true' }],
])('%j with %j leaves nothing out, and says what it takes before it begins', async (args, env) => {
  const { said, did } = await run(args, env);
  expect(said.split('== check types')[0]).toMatch(/^== fetched below node_modules: .*Prometheus/);
  expect(did).toContain('vitest as .');
  expect(did).not.toContain('apt-get');
});

it('a file that is named is run whatever it fetches', async () => {
  const { said, did } = await run(['test/e2e/install.test.ts']);
  expect(said).not.toContain('left out');
  expect(did).toContain('vitest as .');
});
