import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  readConfiguration,
  readEnvironmentFile,
  renderProblems,
} from '../../src/app/configuration.ts';
import type { Config } from '../../src/config/model.ts';
import { renderProblem } from '../../src/config/problem.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { temporaryDirectory } from '../node/local/world.ts';

type Variables = Readonly<Record<string, string>>;

/** A configuration in its usual place below a directory of its own. */
class Place {
  readonly root = temporaryDirectory();

  constructor(text = 'DEFAULT:\n  log_level: warning\n') {
    mkdirSync(this.at('etc/lxc_autoscale'), { recursive: true });
    this.write('etc/lxc_autoscale/lxc_autoscale.yaml', text);
  }

  at = (path: string): string => join(this.root, path);

  write(path: string, text: string, mode = 0o600): string {
    writeFileSync(this.at(path), text, { mode });
    chmodSync(this.at(path), mode);
    return this.at(path);
  }

  read(env: Variables, variables: Variables = {}, debug = false) {
    const choice = { configFile: undefined, pollIntervalSeconds: undefined, energyMode: false };
    const context = { paths: createPaths(this.root), env, variables };
    return readConfiguration({ ...choice, debug }, context);
  }

  config(...given: Parameters<Place['read']>): Config {
    const result = this.read(...given);
    if (!result.ok) throw new Error(renderProblems(result));
    return result.config;
  }

  problems(...given: Parameters<Place['read']>): string {
    const result = this.read(...given);
    return result.ok ? '' : renderProblems(result);
  }
}

describe('the environment', () => {
  it('stands over the file, and under the flags', () => {
    const place = new Place();
    expect(place.config({}).logLevel).toBe('warning');
    expect(place.config({ LOG_LEVEL: 'ERROR' }).logLevel).toBe('error');
    expect(place.config({ LOG_LEVEL: 'ERROR' }, {}, true).logLevel).toBe('debug');
    expect(place.config({ LOG_FILE: '/var/log/other.log' })).toMatchObject({
      logFile: '/var/log/other.log',
    });
  });

  it('sets nothing by an empty variable', () => {
    expect(new Place().config({ LOG_LEVEL: '', LOG_FILE: '' })).toEqual(new Place().config({}));
  });

  it('is checked as the file is', () => {
    expect(new Place().problems({ LOG_LEVEL: 'eror' })).toMatch(
      /^the environment: LOG_LEVEL: 'eror' .*allowed: .*did you mean error\?\n$/,
    );
    expect(new Place().problems({ LOG_FILE: 'relative.log' })).toMatch(
      /^the environment: LOG_FILE: 'relative.log' /,
    );
  });
});

const GOTIFY = `DEFAULT:\n  gotify_url: https://g.example\n  gotify_token: $\{TOKEN}\n`;

describe('a variable of the configuration', () => {
  const tokenOf = (config: Config): string => JSON.stringify(config);

  it('is taken from the environment, then from --env-file, then from beside the file', () => {
    const place = new Place(GOTIFY);
    place.write('etc/lxc_autoscale/environment', 'TOKEN=beside\n');
    expect(tokenOf(place.config({}))).toContain('beside');
    expect(tokenOf(place.config({}, { TOKEN: 'named' }))).toContain('named');
    expect(tokenOf(place.config({ TOKEN: 'own' }, { TOKEN: 'named' }))).toContain('own');
  });

  it('may stand in a file of its own, as secrets of containers do', () => {
    const place = new Place(GOTIFY);
    const real = place.write('secret', 'from-a-file\n', 0o400);
    const link = place.at('link');
    symlinkSync(real, link);
    expect(tokenOf(place.config({ TOKEN_FILE: link }))).toContain('"from-a-file"');
    expect(tokenOf(place.config({ TOKEN_FILE: link, TOKEN: 'own' }))).toContain('own');
  });

  it('is not taken from a file that others write, nor from none', () => {
    const place = new Place(GOTIFY);
    const open = place.write('secret', 'of-anybody\n', 0o666);
    for (const path of [open, place.at('none')]) {
      expect(place.problems({ TOKEN_FILE: path })).toMatch(
        /gotify_token: the environment variable TOKEN_FILE names no file that can be used/,
      );
    }
  });

  it.each([
    [0o600, []],
    [0o640, []],
    [
      0o644,
      [
        '/etc/lxc_autoscale/environment: is for secrets, and every user of this host may read ' +
          'it; run: chmod 600 /etc/lxc_autoscale/environment',
      ],
    ],
  ])('beside the file at the mode %o is remarked on: %j', (mode, expected) => {
    const place = new Place(GOTIFY);
    place.write('etc/lxc_autoscale/environment', 'TOKEN=beside\n', mode);
    const read = place.read({});
    expect(read.ok && read.notes.map(renderProblem)).toEqual(expected);
  });

  it('is not looked for in a file if nobody asks', () => {
    expect(new Place().config({ SSL_CERT_FILE: '/none', LOG_FILE: '' }).logLevel).toBe('warning');
  });
});

describe('a node of NODES', () => {
  const problemsOf = (name: string, ...keys: readonly string[]): string => {
    const lines = [...keys, 'token_id: as@pve!x', 'token_secret: hush'];
    const text = `NODES:\n  ${name}:\n${lines.map((line) => `    ${line}\n`).join('')}`;
    const place = new Place(text);
    place.write('etc/hostname', 'Pve7.example.org\n');
    return place.problems({});
  };
  const itself = /yaml:2: lab: is this node itself, .*; remove it\n$/;

  it.each([
    'localhost',
    '127.0.0.1',
    '127.0.1.1',
    'pve7',
    hostname(),
    ...Object.values(networkInterfaces())
      .flatMap((all) => (all ?? []).map(({ address }) => address))
      .filter((address) => address !== '::1'),
  ])('is not this node itself, called %s', (host) => {
    expect(problemsOf('lab', `host: "${host}"`, 'node: pve7')).toMatch(itself);
  });

  it('does not take its name', () => {
    expect(problemsOf('pve7', 'host: pve7.elsewhere.org')).toMatch(
      /yaml:2: pve7: is the name of this node itself, .* `node: Pve7` below it, or remove it\n$/,
    );
  });

  it('may be one of that name in another cluster, and another one behind this', () => {
    expect(problemsOf('lab', 'host: 192.0.2.7', 'node: pve7')).toBe('');
    expect(problemsOf('pve8', 'host: localhost')).toBe('');
    expect(problemsOf('lab', 'host: localhost', 'port: 9006', 'node: pve7')).toBe('');
  });
});

describe('the file of --env-file', () => {
  it('has variables', () => {
    const file = new Place().write('.env', "# mine\nA=1\nB='two words'\n");
    expect(readEnvironmentFile(file)).toEqual({ ok: true, value: { A: '1', B: 'two words' } });
  });

  it.each([
    [0o644, /others may read its secrets; run: chmod 600 /],
    [0o640, /others may read its secrets; run: chmod 600 /],
    [0o602, /can be written by everybody/],
  ])('is refused with mode %o', (mode, why) => {
    const file = new Place().write('.env', 'SECRET=x\n', mode);
    const read = readEnvironmentFile(file);
    expect(read).toMatchObject({ ok: false, detail: expect.stringMatching(why) });
  });

  it('must be there', () => {
    const file = new Place().at('.env');
    expect(readEnvironmentFile(file)).toMatchObject({
      ok: false,
      detail: expect.stringMatching(/^--env-file .*\.env is not used: .*\.env/),
    });
  });
});
