import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { milliseconds } from '../../src/core/units.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { createGroupTools } from '../../src/node/local/pve/pct-groups.ts';
import { programProblem } from '../../src/os/executable-files.ts';
import { whyNotTrusted } from '../../src/os/trusted-file.ts';
import { calm, NodeUnderTest } from '../e2e/node-under-test.ts';
import { temporaryDirectory } from '../node/local/world.ts';

/** A configuration, or a program that it names, to which somebody else may write. */

const isRoot = process.getuid?.() === 0;
const NOT_ROOT = 'only root may give a file away';
const NOBODY = 65_534;

function file(mode: number, directoryMode = 0o755): string {
  const directory = join(temporaryDirectory(), 'own');
  mkdirSync(directory);
  const path = join(directory, 'file');
  writeFileSync(path, '#!/bin/sh\n');
  chmodSync(path, mode);
  chmodSync(directory, directoryMode);
  return path;
}

describe('what is gone by', () => {
  it.each([0o600, 0o640, 0o644, 0o755, 0o4755])('may have the mode %o', (mode) => {
    expect(whyNotTrusted(file(mode))).toBeUndefined();
  });

  it.each([
    [0o646, 0o755, /^can be written by everybody; run: chmod o-w .*file$/],
    [0o602, 0o700, /^can be written by everybody/],
    [0o644, 0o757, /^lies in .*own, which can be written by everybody; run: chmod o-w .*own$/],
  ])('may not have the mode %o in a directory of %o', (mode, directoryMode, words) => {
    expect(whyNotTrusted(file(mode, directoryMode))).toMatch(words);
  });

  it.each(['/dev/null', '/tmp'])('is never %s, whose mode nobody is told to change', (path) => {
    expect(whyNotTrusted(path)).toBe('can be written by everybody; take another path');
  });

  it('may lie in a directory for all in which nobody can replace the file of another', () => {
    expect(whyNotTrusted(file(0o644, 0o1777))).toBeUndefined();
  });

  it('may be written by the group of who runs this, and by no other one', () => {
    const path = file(0o664);
    const uids = [0, process.getuid?.() ?? 0];
    expect(whyNotTrusted(path)).toBeUndefined();
    expect(whyNotTrusted(path, { uids, gids: [4711] })).toMatch(
      /^can be written by the group \d+; run: chmod g-w /,
    );
    expect(whyNotTrusted(path, { uids: [4711], gids: [0] })).toMatch(
      /^belongs to the user \d+, who could change it; run: chown root /,
    );
  });

  it('is what a link leads to, and the directory of the link as well', () => {
    const [good, bad] = [file(0o644), file(0o666)];
    const link = join(temporaryDirectory(), 'link');
    symlinkSync(bad, link);
    expect(whyNotTrusted(link)).toMatch(/^can be written by everybody/);
    const open = join(temporaryDirectory(), 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    symlinkSync(good, join(open, 'link'));
    expect(whyNotTrusted(join(open, 'link'))).toMatch(/^lies in .*open, which can be written/);
  });

  it('need not be there', () => {
    expect(whyNotTrusted('/does/not/exist')).toBeUndefined();
    expect(whyNotTrusted(join(file(0o644), 'below'))).toBeUndefined();
  });
});

describe('a configuration to which others may write', () => {
  const FILE = 'etc/lxc_autoscale/lxc_autoscale.yaml';

  it('is refused by every command that reads one, with what to do', async () => {
    const under = await NodeUnderTest.create([calm(101)]);
    const path = join(under.root, FILE);
    chmodSync(path, 0o666);
    for (const command of ['daemon', 'once', 'check-config', 'backups', 'history']) {
      const { code, stdout, stderr } = await under.run([command]);
      expect(code).toBe(78);
      const text = `${stdout}${stderr}`;
      expect(text).toMatch(/lxc_autoscale\.yaml: is not used: it can be written by everybody/);
      expect(text).toContain(`run: chmod o-w ${path}`);
    }
    chmodSync(path, 0o644);
    expect((await under.run(['once'])).code).toBe(0);
    chmodSync(join(under.root, 'etc/lxc_autoscale'), 0o777);
    const { stderr } = await under.run(['once']);
    expect(stderr).toMatch(/it lies in .*etc\/lxc_autoscale, which can be written by everybody/);
  });

  it('is not taken in by a reload, and the daemon goes on with the one before', async () => {
    const under = await NodeUnderTest.create([calm(101)]);
    const daemon = under.start(['daemon']);
    await daemon.saying('Next run in');
    chmodSync(join(under.root, FILE), 0o666);
    daemon.signal('SIGHUP');
    await daemon.saying(/can be written by everybody(.*\n)*.*The configuration was NOT reloaded/);
    daemon.signal('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
  });

  it('or that belongs to somebody else is refused', async (context) => {
    if (!isRoot) return context.skip(NOT_ROOT);
    const under = await NodeUnderTest.create([calm(101)]);
    chownSync(join(under.root, FILE), NOBODY, 0);
    const { code, stderr } = await under.run(['once']);
    expect(code).toBe(78);
    expect(stderr).toMatch(/it belongs to the user 65534, .*; run: chown root /);
  });
});

describe('the file of variables', () => {
  const FILE = 'etc/lxc_autoscale/environment';

  /** A node whose file of variables would run a program before ours, if it could. */
  async function withVariables() {
    const under = await NodeUnderTest.create([calm(101)]);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the notation of variables.
    under.configure('DEFAULT:\n  log_file: ${WHERE}\n');
    const [path, evil] = [join(under.root, FILE), join(under.root, 'evil.cjs')];
    const proof = join(under.root, 'proof');
    writeFileSync(evil, `require('node:fs').writeFileSync(${JSON.stringify(proof)}, '')`);
    const harmful = ['NODE_OPTIONS', 'LD_PRELOAD', 'BASH_ENV', 'PATH', 'LXC_AUTOSCALE_NODE_FLAGS'];
    const lines = harmful.map((name) => `${name}=--require=${evil}`);
    writeFileSync(path, `# Ours\nWHERE="/var/log/ours.log"\n${lines.join('\n')}\n`);
    return { under, path, proof };
  }

  it('gives values to the configuration, and nothing to any program', async () => {
    const { under, proof } = await withVariables();
    const { code, stderr } = await under.run(['once']);
    expect([code, stderr]).toEqual([0, '']);
    expect(existsSync(join(under.root, 'var/log/ours.log'))).toBe(true);
    expect(existsSync(proof)).toBe(false);
  });

  it.each<[string, (path: string) => void, RegExp]>([
    ['everybody may write to it', (path) => chmodSync(path, 0o646), /written by everybody/],
    [
      'everybody may write to its directory',
      (path) => chmodSync(join(path, '..'), 0o777),
      /can be written by everybody/,
    ],
    [
      'it is a link',
      (path) => {
        renameSync(path, `${path}.real`);
        symlinkSync(`${path}.real`, path);
      },
      /environment: is not used: .*symbolic link/,
    ],
    [
      'it is a directory',
      (path) => {
        rmSync(path);
        mkdirSync(path);
      },
      /environment: is not used: .*no regular file/,
    ],
  ])('is refused where %s', async (_, change, words) => {
    const { under, path, proof } = await withVariables();
    change(path);
    for (const command of ['daemon', 'once', 'check-config']) {
      const { code, stdout, stderr } = await under.run([command]);
      expect([code, `${stdout}${stderr}`]).toEqual([78, expect.stringMatching(words)]);
    }
    expect(existsSync(proof)).toBe(false);
  });

  it('is read by nothing before the program', () => {
    for (const name of ['lxc-autoscale', 'lxc_autoscale.service']) {
      const text = readFileSync(new URL(`../../systemd/${name}`, import.meta.url), 'utf8');
      expect(text).not.toMatch(/EnvironmentFile|lxc_autoscale\/environment|\beval\b|\bexport\b/);
    }
  });
});

describe('a secret in a configuration', () => {
  const FILE = 'etc/lxc_autoscale/lxc_autoscale.yaml';
  const withToken = (token: string): string =>
    `DEFAULT:\n  gotify_url: http://127.0.0.1:9\n  gotify_token: ${token}\n`;
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the notation of variables.
  const FROM_VARIABLE = '${GOTIFY_TOKEN}';

  it.each([
    ['hush-hush', 0o644, true],
    ['hush-hush', 0o640, false],
    [FROM_VARIABLE, 0o644, false],
    ["''", 0o644, false],
  ])('%s at the mode %o is remarked on: %s', async (token, mode, isSaid) => {
    const under = await NodeUnderTest.create([calm(101)]);
    under.configure(withToken(token));
    const path = join(under.root, FILE);
    chmodSync(path, mode);
    process.env['GOTIFY_TOKEN'] = 'from-a-variable';
    const { code, stdout } = await under.run(['check-config']);
    expect(code).toBe(token === "''" ? 78 : 0);
    const remark = 'is a secret, and every user of this host may read it here; run: chmod o-r';
    expect(stdout.includes(`yaml:3: gotify_token: ${remark} ${path}`)).toBe(isSaid);
    expect(stdout).not.toContain('hush');
  });

  it('that everybody may read is remarked on in the log', async () => {
    const under = await NodeUnderTest.create([calm(101)]);
    under.configure(withToken('hush-hush'));
    await under.run(['once']);
    expect(under.log()).toMatch(/WARNING - .*yaml:3: gotify_token: is a secret, and every user/);
    expect(under.log()).not.toContain('hush');
  });
});

describe('a program of a group to which others may write', () => {
  const hook = (mode: number) => {
    const path = file(mode);
    renameSync(path, `${path}.sh`);
    return `${path}.sh`;
  };

  it('is not run, and check-config says why', async () => {
    const tools = createGroupTools({
      paths: createPaths(temporaryDirectory()),
      environment: process.env,
    });
    const limit = milliseconds(5000);
    expect(await tools.hook([hook(0o755)], limit)).toEqual({ kind: 'done' });
    const bad = hook(0o757);
    expect(await tools.hook([bad], limit)).toEqual({
      kind: 'not-started',
      message: `${bad} is not run: it can be written by everybody; run: chmod o-w ${bad}`,
    });
    expect(programProblem(hook(0o755))).toBeUndefined();
    expect(programProblem(bad)).toMatch(/^can be written by everybody/);
  });
});
