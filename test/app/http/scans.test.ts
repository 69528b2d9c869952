import { mkdirSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { journalEvents } from '../../../src/app/http/journal-events.ts';
import { guestUsage, usageOfAll } from '../../../src/app/http/usage.ts';
import { encodeUsage } from '../../../src/core/usage-history.ts';
import { createPaths } from '../../../src/node/local/paths.ts';
import { USAGE_DIRECTORY } from '../../../src/store/usage-files.ts';
import { temporaryDirectory, vmid } from '../../node/local/world.ts';
import { until } from '../../patience.ts';
import { type Served, serve } from './served.ts';

/** What reads many files is over when nobody waits for it any more, and leaves none open. */

const GONE = AbortSignal.abort();
const THERE = new AbortController().signal;
const NOBODY = 'Whoever asked has not waited';

/** The files below a directory that this process has open. */
const openBelow = (directory: string): readonly string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(directory) ? [path] : [];
    } catch {
      return [];
    }
  });

describe('the JSON log', () => {
  it('is not read to its end for somebody who has gone', async () => {
    const directory = temporaryDirectory();
    const file = join(directory, 'changes.json');
    const line = `${JSON.stringify({ timestamp: '2026-11-29T10:00:00', container_id: '101' })}\n`;
    for (const name of [file, `${file}.1`, `${file}.2`]) writeFileSync(name, line.repeat(3));
    const wanted = { file, vmid: vmid(101), node: undefined, from: undefined, most: 100 };
    const { events } = await journalEvents({ ...wanted, gone: THERE });
    expect(events).toHaveLength(9);
    await expect(journalEvents({ ...wanted, gone: GONE })).rejects.toThrow(NOBODY);
    expect(openBelow(directory)).toEqual([]);
  });
});

describe('the history of usage', () => {
  /** With one line of 101. */
  function contextOf({ loop: { world } }: Served) {
    const root = temporaryDirectory();
    const paths = createPaths(root);
    const directory = paths.at(USAGE_DIRECTORY);
    mkdirSync(directory, { recursive: true });
    const wallMs = world.clock.wallMs();
    const line = encodeUsage({
      timeS: Math.floor(wallMs / 1000) - 60,
      vmid: vmid(101),
      cpuCores: 1,
      memoryMib: 400,
      cpuDemand: 1,
      cpuPeak: 1,
      cpuAllowed: 2,
      memoryPeakMib: 430,
      memoryLimitMib: 1024,
      cpuWaitPercent: 0,
      memoryWaitPercent: 0,
    });
    const day = new Date(wallMs).toISOString().slice(0, 10);
    writeFileSync(join(directory, `${day}.001.csv`), `${line}\n`);
    return { directory, paths, clock: world.clock };
  }

  it('is not read to its end for somebody who has gone', async () => {
    const served = await serve();
    const { directory, paths, clock } = contextOf(served);
    const { loop } = served;
    const context = { paths, clock, env: {}, stdout: process.stdout, stderr: process.stderr };
    const wanted = { context, loop, hours: 24 };
    expect(await guestUsage({ ...wanted, gone: THERE }, vmid(101))).toMatchObject({
      rows: [expect.anything()],
    });
    expect(Object.keys((await usageOfAll({ ...wanted, gone: THERE }, 4)).guests)).toEqual(['101']);
    await expect(guestUsage({ ...wanted, gone: GONE }, vmid(101))).rejects.toThrow(NOBODY);
    await expect(usageOfAll({ ...wanted, gone: GONE }, 4)).rejects.toThrow(NOBODY);
    await until(() => openBelow(directory).length === 0);
  });
});
