import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  countingFile,
  readConfiguration,
  renderProblems,
  SHARED_FILE,
  USUAL_FILE,
} from '../../src/app/configuration.ts';
import { SharedConfiguration } from '../../src/app/shared-configuration.ts';
import { milliseconds } from '../../src/core/units.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { temporaryDirectory } from '../node/local/world.ts';

/** The configuration that the nodes of a cluster share, in `/etc/pve`. */

let root: string;

beforeEach(() => {
  root = temporaryDirectory();
  for (const path of ['etc/lxc_autoscale', 'etc/pve/priv/lxc_autoscale']) {
    mkdirSync(join(root, path), { recursive: true });
  }
  write('/etc/pve/.version', '{}');
});

const write = (path: string, text: string): void =>
  writeFileSync(join(root, path), text, { mode: 0o600 });

const choice = {
  configFile: undefined,
  pollIntervalSeconds: undefined,
  energyMode: false,
  debug: false,
};

const read = (env: Readonly<Record<string, string>> = {}) =>
  readConfiguration(choice, { paths: createPaths(root), env });

function levelIn(): string {
  const loaded = read();
  return loaded.ok ? loaded.config.logLevel : renderProblems(loaded);
}

const level = (name: string): string => `DEFAULT:\n  log_level: ${name}\n`;

describe('which file counts', () => {
  it('is that of the node, or else that of the cluster', () => {
    expect(countingFile(undefined, createPaths(root))).toMatchObject({ shown: USUAL_FILE });
    write(SHARED_FILE, level('warning'));
    expect(countingFile(undefined, createPaths(root))).toMatchObject({ isShared: true });
    expect(levelIn()).toBe('warning');
    write(USUAL_FILE, level('error'));
    expect(countingFile(undefined, createPaths(root))).toMatchObject({ isShared: false });
    expect(levelIn()).toBe('error');
  });
});

describe('secrets of the shared file', () => {
  const token = 'DEFAULT:\n  gotify_url: http://10.0.0.1\n  gotify_token: ';

  it('are refused in clear, and it is said where they belong', () => {
    write(SHARED_FILE, `${token}hush-hush\n`);
    const loaded = read();
    const said = loaded.ok ? '' : renderProblems(loaded);
    expect(said).toBe(
      '/etc/pve/lxc_autoscale.yaml:3: gotify_token: is a secret in clear, and the group www-data ' +
        // biome-ignore lint/suspicious/noTemplateCurlyInString: as it is written in the file
        'may read this file; write ${NAME} here, and NAME=... into ' +
        '/etc/pve/priv/lxc_autoscale/environment (for all nodes) or ' +
        '/etc/lxc_autoscale/environment (for one)\n',
    );
    expect(said).not.toContain('hush');
  });

  it('come from the environment, then the file of the node, then that of the cluster', () => {
    write(SHARED_FILE, `${token}\${TOKEN}\n`);
    const given = (env = {}) => {
      const loaded = read(env);
      return loaded.ok ? JSON.stringify(loaded.config.notify) : renderProblems(loaded);
    };
    expect(given()).toContain('TOKEN');
    write('/etc/pve/priv/lxc_autoscale/environment', 'TOKEN=of-all-nodes\n');
    expect(given()).toContain('of-all-nodes');
    write('/etc/lxc_autoscale/environment', 'TOKEN=of-this-node\n');
    expect(given()).toContain('of-this-node');
    expect(given({ TOKEN: 'of-the-process' })).toContain('of-the-process');
    // A file of the node itself has nothing to do with those of the cluster.
    rmSync(join(root, '/etc/lxc_autoscale/environment'));
    write(USUAL_FILE, `${token}\${TOKEN}\n`);
    expect(given()).not.toContain('of-all-nodes');
  });
});

describe('a change of the shared file', () => {
  const AN_HOUR_AGO = Date.now() / 1000 - 3600;
  let nowMs = Date.now();
  const watch = () =>
    new SharedConfiguration(undefined, {
      paths: createPaths(root),
      clock: { wallMs: () => milliseconds(nowMs), monotonicMs: () => milliseconds(0) },
    });
  const put = (text: string, atS = AN_HOUR_AGO): void => {
    write(SHARED_FILE, text);
    utimesSync(join(root, SHARED_FILE), atS, atS);
  };

  it('is seen once, and that it was only touched is none', () => {
    put(level('warning'));
    const shared = watch();
    expect([shared.counts, shared.look()]).toEqual([true, 'as before']);
    put(level('warning'), AN_HOUR_AGO + 60);
    expect(shared.look()).toBe('as before');
    put(level('error'), AN_HOUR_AGO + 120);
    expect([shared.look(), shared.look()]).toEqual(['changed', 'as before']);
  });

  it('is seen also if it has the same length and the same second as the one before', () => {
    const atS = Math.floor(Date.now() / 1000);
    nowMs = atS * 1000 + 500;
    put(level('error'), atS);
    const shared = watch();
    put(level('debug'), atS);
    expect(shared.look()).toBe('changed');
    nowMs += 10_000;
    expect(shared.look()).toBe('as before');
    nowMs = Date.now();
  });

  it('that it is gone is told once, and not while the cluster file system is not running', () => {
    put(level('error'));
    const shared = watch();
    rmSync(join(root, SHARED_FILE));
    rmSync(join(root, '/etc/pve/.version'));
    expect(shared.look()).toBe('as before');
    write('/etc/pve/.version', '{}');
    expect([shared.look(), shared.look()]).toEqual(['gone', 'as before']);
    put(level('error'));
    expect(shared.look()).toBe('as before');
    put(level('debug'), AN_HOUR_AGO + 60);
    expect(shared.look()).toBe('changed');
  });

  it('a file of the node takes its place', () => {
    put(level('error'));
    const shared = watch();
    write(USUAL_FILE, level('info'));
    expect(shared.look()).toBe('changed');
    shared.note();
    expect([shared.counts, shared.look()]).toEqual([false, 'as before']);
  });
});
