import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/seeded-random.ts';
import { Lease, type LeaseFiles } from '../../src/os/lease.ts';
import { leaseFilesIn } from '../../src/os/lease-files.ts';
import { failed } from '../../src/os/os-error.ts';
import { temporaryDirectory } from '../node/local/world.ts';

/** Who may act, among programs that share a directory. */

const TTL_MS = 90_000;
const EVERY_MS = 15_000;

let nowMs = 0;
let directory: string;
let lives = 0;

beforeEach(() => {
  nowMs = 0;
  directory = join(temporaryDirectory(), 'leases/pve1');
});

const leaseOf = (seat: string, files: LeaseFiles = leaseFilesIn(directory)): Lease =>
  new Lease({
    files,
    holder: { host: seat, how: 'ssh', seat },
    instance: `life-${++lives}`,
    monotonicMs: () => nowMs,
    ttlS: TTL_MS / 1000,
  });

async function tendFor(ms: number, ...leases: readonly Lease[]): Promise<void> {
  for (const endMs = nowMs + ms; nowMs < endMs; ) {
    nowMs += EVERY_MS;
    for (const lease of leases) await lease.tend();
  }
}

const kind = async (lease: Lease): Promise<string> => (await lease.confirm()).kind;

describe('a lease', () => {
  it('is of the first, and the others are told who has it', async () => {
    const [one, other] = [leaseOf('one'), leaseOf('other')];
    for (const lease of [one, other]) await lease.tend();
    expect(one.standing).toEqual({ kind: 'held' });
    expect(other.standing).toEqual({
      kind: 'elsewhere',
      by: { host: 'one', how: 'ssh', seat: 'one' },
    });
    await tendFor(10 * TTL_MS, one, other);
    expect([await kind(one), await kind(other)]).toEqual(['held', 'elsewhere']);
    expect(readdirSync(directory)).toEqual(['1.lease']);
  });

  it('passes on when it was not renewed for as long as it promises, not before', async () => {
    const [one, other] = [leaseOf('one'), leaseOf('other')];
    await one.tend();
    nowMs += EVERY_MS;
    await other.tend();
    await tendFor(TTL_MS - EVERY_MS, other);
    expect(other.standing.kind).toBe('elsewhere');
    await tendFor(EVERY_MS, other);
    expect(other.standing.kind).toBe('held');
    expect(readdirSync(directory)).toEqual(['2.lease']);
    // Who stood still finds it out before he acts.
    expect(await kind(one)).toBe('elsewhere');
    await tendFor(10 * TTL_MS, one, other);
    expect([await kind(one), await kind(other)]).toEqual(['elsewhere', 'held']);
  });

  it('is good for half of that time only if it cannot be renewed', async () => {
    let isBroken = false;
    const files = leaseFilesIn(directory);
    const broken: LeaseFiles = {
      ...files,
      overwrite: (name, text) =>
        isBroken ? Promise.reject(failed('EACCES')) : files.overwrite(name, text),
    };
    const lease = leaseOf('one', broken);
    await lease.tend();
    isBroken = true;
    nowMs += TTL_MS / 2 - 1;
    expect(await kind(lease)).toBe('held');
    nowMs += 1;
    const why = 'it could not be renewed: permission denied (EACCES)';
    expect(await lease.confirm()).toEqual({ kind: 'unknown', why });
    isBroken = false;
    expect(await kind(lease)).toBe('held');
    nowMs += TTL_MS / 2;
    expect(lease.standing).toEqual({ kind: 'unknown', why: 'it could not be renewed' });
  });

  it('is good while it is fresh if the directory does not answer, and tries again', async () => {
    let reads = 0;
    let isBroken = false;
    const files = leaseFilesIn(directory);
    const lease = leaseOf('one', {
      ...files,
      read: async () => {
        reads += 1;
        if (isBroken) throw failed('EIO');
        return files.read();
      },
    });
    await lease.tend();
    isBroken = true;
    nowMs += EVERY_MS;
    await lease.tend();
    expect([lease.standing.kind, await kind(lease)]).toEqual(['held', 'held']);
    const before = reads;
    nowMs += 1;
    await lease.tend();
    expect(reads).toBe(before + 1);
  });

  it('is handed over at once at an end, and taken up at once by the next life', async () => {
    const [one, other] = [leaseOf('one'), leaseOf('other')];
    for (const lease of [one, other]) await lease.tend();
    await one.release();
    nowMs += EVERY_MS;
    await other.tend();
    expect(other.standing.kind).toBe('held');
    const again = leaseOf('other');
    await again.tend();
    expect(again.standing.kind).toBe('held');
    expect(readdirSync(directory)).toEqual(['3.lease']);
  });

  it('a number never comes again: an old holder takes no new file for its own', async () => {
    const [one, other, third] = [leaseOf('one'), leaseOf('other'), leaseOf('third')];
    await one.tend();
    await one.release();
    await other.tend();
    await other.release();
    await third.tend();
    expect(readdirSync(directory)).toEqual(['3.lease']);
    expect([await kind(one), await kind(third)]).toEqual(['unknown', 'held']);
  });

  it.each(['', '{', 'null', '{"host":1}'])('a file that stays %j is of nobody', async (text) => {
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, '7.lease'), text);
    const lease = leaseOf('one');
    await lease.tend();
    expect(lease.standing.kind).toBe('held');
    expect(readdirSync(directory)).toEqual(['8.lease']);
  });

  it('a file that is being made is of its maker', async () => {
    const maker = leaseOf('maker');
    await maker.tend();
    const [name = ''] = readdirSync(directory);
    const whole = readFileSync(join(directory, name));
    const files = leaseFilesIn(directory);
    let looks = 0;
    const one = leaseOf('one', {
      ...files,
      read: async () => {
        writeFileSync(join(directory, name), looks === 0 ? '' : whole);
        looks += 1;
        return files.read();
      },
    });
    await one.tend();
    expect(one.standing).toMatchObject({ kind: 'elsewhere' });
    expect(readdirSync(directory)).toEqual([name]);
  });

  it('keeps its length, since a part of a file must never be read', async () => {
    const lease = leaseOf('one');
    await lease.tend();
    const length = () => readFileSync(join(directory, '1.lease')).length;
    const before = length();
    await tendFor(40 * EVERY_MS, lease);
    await lease.release();
    expect([before, length()]).toEqual([512, 512]);
  });
});

/** Files in memory, where each step of a holder may be the last for a long while. */
class SlowFiles {
  readonly all = new Map<string, string>();
  readonly #step: () => Promise<void>;

  constructor(step: () => Promise<void>) {
    this.#step = step;
  }

  files(): LeaseFiles {
    const { all } = this;
    const atomic =
      <A extends unknown[], T>(work: (...args: A) => T) =>
      async (...args: A): Promise<T> => {
        await this.#step();
        return work(...args);
      };
    return {
      read: atomic(() => ({ ok: true as const, value: new Map(all) })),
      create: atomic((name: string, text: string) => {
        if (all.has(name)) throw failed('EEXIST');
        all.set(name, text);
      }),
      overwrite: atomic((name: string, text: string) => {
        if (!all.has(name)) throw failed('ENOENT');
        all.set(name, text);
      }),
      remove: atomic((name: string) => {
        all.delete(name);
      }),
    };
  }
}

describe('any order of steps', () => {
  it.each(Array.from({ length: 200 }, (_, seed) => seed))('seed %i: one holder', async (seed) => {
    const random = seededRandom(seed);
    const waiting: (() => void)[] = [];
    const slow = new SlowFiles(() => new Promise((resolve) => void waiting.push(resolve)));
    nowMs = 0;
    const leases = ['a', 'b', 'c'].map((seat) => leaseOf(seat, slow.files()));
    for (let step = 0; step < 400; step++) {
      const lease = leases[Math.floor(random() * leases.length)];
      if (random() < 0.3) void lease?.tend();
      // Any of the steps that wait goes on, whoever began it when.
      const [next] = waiting.splice(Math.floor(random() * waiting.length), 1);
      next?.();
      await new Promise((resolve) => setImmediate(resolve));
      nowMs += Math.floor(random() * 4000);
    }
    expect(slow.all.size).toBeGreaterThan(0);
    while (waiting.length > 0) {
      waiting.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    const confirming = leases.map((lease) => lease.confirm());
    for (let round = 0; round < 60; round++) {
      for (const next of waiting.splice(0)) next();
      await new Promise((resolve) => setImmediate(resolve));
    }
    const all = await Promise.all(confirming);
    expect(all.filter((one) => one.kind === 'held').length).toBeLessThanOrEqual(1);
  });
});
