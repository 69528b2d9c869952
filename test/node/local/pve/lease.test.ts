import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { milliseconds } from '../../../../src/core/units.ts';
import { createPaths } from '../../../../src/node/local/paths.ts';
import { createLeases } from '../../../../src/node/local/pve/lease.ts';
import type { Leases } from '../../../../src/node/port.ts';

let root: string;
let nowS = 1_795_000_000;

const clock = {
  wallMs: () => milliseconds(nowS * 1000),
  monotonicMs: () => milliseconds(nowS * 1000),
};
const LOCK = 'etc/pve/priv/lock/lxc-autoscale-web';

/** A daemon of one node; all nodes share `/etc/pve`. */
function node(name: string): Leases {
  const own = join(root, name);
  mkdirSync(own, { recursive: true });
  mkdirSync(join(root, 'etc/pve'), { recursive: true });
  if (!existsSync(join(own, 'etc'))) symlinkSync(join(root, 'etc'), join(own, 'etc'));
  return createLeases({ paths: createPaths(own), clock });
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'lease-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('a lease', () => {
  it('has one holder, for as long as it gives signs of life', () => {
    const [a, b] = [node('a'), node('b')];
    expect(a.hold('web').kind).toBe('held');
    for (let round = 0; round < 30; round += 1) {
      nowS += 25;
      expect(a.hold('web').kind).toBe('held');
      expect(b.hold('web').kind).toBe('elsewhere');
    }
  });

  it('is for nobody but root', () => {
    node('a').hold('web');
    const modes = [
      LOCK,
      'a/var/lib/lxc_autoscale/leases',
      'a/var/lib/lxc_autoscale/leases/web',
    ].map((name) => statSync(join(root, name)).mode);
    expect(modes.map((mode) => mode & 0o777)).toEqual([0o700, 0o700, 0o600]);
  });

  it('is each group for itself', () => {
    const [a, b] = [node('a'), node('b')];
    expect(a.hold('web').kind).toBe('held');
    expect(b.hold('db').kind).toBe('held');
  });

  it('is taken over when it has stood still for two minutes, and its holder notices', () => {
    const [a, b] = [node('a'), node('b')];
    a.hold('web');
    expect(b.hold('web').kind).toBe('elsewhere');
    nowS += 119;
    expect(b.hold('web').kind).toBe('elsewhere');
    nowS += 2;
    // Taken, and not used before it has proved that nobody else took it at the same time.
    expect(b.hold('web').kind).toBe('elsewhere');
    nowS += 1;
    expect(b.hold('web').kind).toBe('elsewhere');
    nowS += 1;
    expect(b.hold('web').kind).toBe('held');
    expect(a.hold('web').kind).toBe('elsewhere');
  });

  it('is never held by two, whoever of them looks when', () => {
    const nodes = [node('a'), node('b'), node('c')];
    nodes[0]?.hold('web');
    let taken = 0;
    for (let round = 0; round < 200; round += 1) {
      nowS += 7;
      const awake = round < 5 || round > 60 ? nodes : nodes.slice(1);
      const held = awake.filter((one) => one.hold('web').kind === 'held');
      expect(held.length).toBeLessThanOrEqual(1);
      taken += held.length;
    }
    expect(taken).toBeGreaterThan(150);
  });

  it('is found again by the next life of the same daemon at once', () => {
    node('a').hold('web');
    nowS += 1;
    expect(node('a').hold('web').kind).toBe('held');
    nowS += 60;
    expect(node('a').hold('web').kind).toBe('held');
    expect(node('b').hold('web').kind).toBe('elsewhere');
  });

  it('is found again by a life that follows one which was ended while it wrote it down', () => {
    node('a').hold('web');
    nowS += 30;
    const own = join(root, 'a/var/lib/lxc_autoscale/leases');
    writeFileSync(join(own, '.web.tmp'), '17');
    expect(node('a').hold('web').kind).toBe('held');
    expect(readdirSync(own)).toEqual(['web']);
  });

  it('that was made by a life which was ended in the same moment is its own, once proven', () => {
    const own = join(root, 'a/var/lib/lxc_autoscale/leases');
    node('a').hold('web');
    writeFileSync(join(own, 'web'), `0 ${nowS} ${nowS + 1}\n`);
    utimesSync(join(root, LOCK), nowS + 1, nowS + 1);
    nowS += 7;
    const [a, b] = [node('a'), node('b')];
    expect(b.hold('web').kind).toBe('elsewhere');
    expect(a.hold('web').kind).toBe('elsewhere');
    nowS += 1;
    expect(a.hold('web').kind).toBe('held');
    expect(b.hold('web').kind).toBe('elsewhere');
  });

  it('that two made at the same moment has one holder in the end', () => {
    const own = join(root, 'a/var/lib/lxc_autoscale/leases');
    const b = node('b');
    expect(b.hold('web').kind).toBe('held');
    mkdirSync(own, { recursive: true });
    const timeS = statSync(join(root, LOCK)).mtimeMs / 1000;
    writeFileSync(join(own, 'web'), `0 ${timeS - 1} ${timeS}\n`);
    const a = node('a');
    nowS += 7;
    const rounds = [0, 1, 2, 3].map(() => {
      nowS += 1;
      return [a.hold('web').kind, b.hold('web').kind];
    });
    for (const kinds of rounds)
      expect(kinds.filter((kind) => kind === 'held').length).toBeLessThan(2);
    expect(rounds.at(-1)).toEqual(['held', 'elsewhere']);
  });

  it('that another one has made first is not noted as its own', () => {
    const [a, b] = [node('a'), node('b')];
    mkdirSync(join(root, 'etc/pve/priv/lock'), { recursive: true });
    expect(b.hold('web').kind).toBe('held');
    expect(a.hold('web').kind).toBe('elsewhere');
    expect(existsSync(join(root, 'a/var/lib/lxc_autoscale/leases/web'))).toBe(false);
  });

  it('that was given back is there for anybody', () => {
    const a = node('a');
    a.hold('web');
    a.release('web');
    expect(existsSync(join(root, LOCK))).toBe(false);
    expect(node('b').hold('web').kind).toBe('held');
  });

  it('that another took is not given back', () => {
    const a = node('a');
    a.hold('web');
    utimesSync(join(root, LOCK), 5, 5);
    expect(a.hold('web').kind).toBe('elsewhere');
    a.release('web');
    expect(statSync(join(root, LOCK)).isDirectory()).toBe(true);
  });

  it('cannot be had where there is no cluster file system', () => {
    const paths = createPaths('/proc/nowhere');
    expect(createLeases({ paths, clock }).hold('web')).toMatchObject({ kind: 'failed' });
  });
});
