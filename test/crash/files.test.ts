import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { backupId } from '../../src/core/backup.ts';
import { milliseconds } from '../../src/core/units.ts';
import { encodeUsage, USAGE_HEADER, type UsageRecord } from '../../src/core/usage-history.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { readUsage } from '../../src/store/usage-files.ts';
import { vmid } from '../core/builders.ts';
import { calm, type guest, hungry, NodeUnderTest } from '../e2e/node-under-test.ts';
import { httpServer, type TestServer } from '../notify/http-server.ts';
import { crashes } from './scenario.ts';
import type { Site } from './site.ts';

/** What is written besides a cycle's change, cut off at each write. */

async function node(yaml: string, ...guests: ReturnType<typeof guest>[]): Promise<NodeUnderTest> {
  const under = await NodeUnderTest.create(guests);
  under.configure(yaml);
  return under;
}

// Logs that are moved aside ----------------------------------------------------------------------

const MIB = 1024 * 1024;
const LOG = 'var/log/lxc_autoscale.log';
const JSON_LOG = 'var/log/lxc_autoscale.json';

/** Logs that have no room for another line, and two of each that were moved aside before. */
function fillLogs({ root }: NodeUnderTest): void {
  const filler = 'x'.repeat(8000);
  for (const [log, line] of [
    [LOG, (mark: string) => `2026-11-22 01:02:03 - INFO - ${mark} ${filler}\n`],
    [JSON_LOG, (mark: string) => `${JSON.stringify({ mark, filler })}\n`],
  ] as const) {
    writeFileSync(join(root, log), line('newest').repeat(Math.floor(MIB / 8050)));
    writeFileSync(join(root, `${log}.1`), line('older'));
    writeFileSync(join(root, `${log}.2`), line('oldest'));
  }
}

const marksIn = ({ under }: Site, log: string): readonly string[] =>
  readdirSync(join(under.root, 'var/log'))
    .filter((name) => `var/log/${name}`.startsWith(log))
    .map((name) => readFileSync(join(under.root, 'var/log', name), 'utf8'))
    .flatMap((text) => ['newest', 'older', 'oldest'].filter((mark) => text.includes(mark)))
    .sort();

await crashes('logs that are moved aside', {
  points: 80,
  own: /^rename var\/log|^open var\/log\/lxc_autoscale\.json|^write var\/log\/lxc_autoscale\.json/,
  create: async () => {
    const under = await node('DEFAULT: {poll_interval: 1, log_max_size_mb: 1}\n', hungry(101));
    fillLogs(under);
    return under;
  },
  expectCut: (site) => {
    for (const log of [LOG, JSON_LOG]) {
      expect(marksIn(site, log)).toEqual(['newest', 'older', 'oldest']);
    }
  },
});

// The history of usage -----------------------------------------------------------------------

const DAY_S = 86_400;

const records = (fromS: number): readonly UsageRecord[] =>
  Array.from({ length: 3000 }, (_none, index) => ({
    timeS: fromS + index,
    vmid: vmid(101),
    cpuCores: 1,
    memoryMib: 500 + (index % 7),
    cpuDemand: 1,
    cpuPeak: 1,
    memoryPeakMib: 600,
    cpuAllowed: 2,
    memoryLimitMib: 1024,
    cpuWaitPercent: 0,
    memoryWaitPercent: 0,
  }));

await crashes('a day of usage that is finished, and packed', {
  points: 40,
  own: /usage/,
  create: async () => {
    const under = await node('DEFAULT: {poll_interval: 1}\n', calm(101));
    const directory = join(under.root, 'var/lib/lxc_autoscale/usage');
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const fromS = Math.floor(Date.now() / 1000 / DAY_S) * DAY_S - DAY_S / 2;
    const day = new Date(fromS * 1000).toISOString().slice(0, 10);
    const lines = records(fromS).map((one) => `${encodeUsage(one)}\n`);
    writeFileSync(join(directory, `${day}.001.csv`), `${USAGE_HEADER}\n${lines.join('')}`);
    return under;
  },
  expectEnd: async ({ under }) => {
    const seen: number[] = [];
    const complain = (text: string): void => expect(text).toBe('');
    for await (const { timeS } of readUsage(createPaths(under.root), milliseconds(0), complain)) {
      seen.push(timeS);
    }
    expect(seen.length).toBeGreaterThan(3000);
    expect(new Set(seen).size).toBe(seen.length);
    const names = readdirSync(join(under.root, 'var/lib/lxc_autoscale/usage')).sort();
    expect(names.map((name) => name.slice(10))).toEqual(['.001.csv.gz', '.001.csv']);
  },
});

// Messages ---------------------------------------------------------------------------------------

const servers = new WeakMap<Site, TestServer>();

await crashes('a cycle whose change is told by a message', {
  points: 90,
  own: /messages\.json/,
  create: () => node('DEFAULT: {poll_interval: 1}\n', hungry(101)),
  prepare: async (site) => {
    const server = await httpServer({ kind: 'answers' });
    servers.set(site, server);
    site.under.configure(
      `DEFAULT: {poll_interval: 1, gotify_url: '${server.url}', gotify_token: hush-hush}\n`,
    );
  },
  expectEnd: (site) => {
    const told = servers.get(site)?.got.filter(({ body }) => body.includes('memory 1024 -> 1536'));
    expect(told?.length).toBeGreaterThanOrEqual(1);
    expect(told?.length).toBeLessThanOrEqual(3);
  },
});

// Backups that are too many ----------------------------------------------------------------------

/** Five of them, of five days. */
function plantBackups(under: NodeUnderTest): void {
  const directory = join(under.root, 'var/lib/lxc_autoscale/backups/101');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  for (const days of [1, 2, 3, 4, 5]) {
    const content = `${under.conf(101)}#${days} days ago\n`;
    const digest = createHash('sha1').update(content).digest('hex');
    const id = backupId(milliseconds(Date.now() - days * DAY_S * 1000), digest);
    writeFileSync(join(directory, `${id}.conf`), content);
    writeFileSync(join(directory, `${id}.json`), JSON.stringify({ reason: 'as planted' }));
  }
}

await crashes('backups that are too many', {
  points: 85,
  own: /^rm var\/lib\/lxc_autoscale\/backups\/101/,
  create: async () => {
    const under = await node('DEFAULT: {poll_interval: 1, backups_keep: 3}\n', hungry(101));
    plantBackups(under);
    return under;
  },
  expectCut: ({ under }) => expect(under.backups(101).length).toBeGreaterThanOrEqual(3),
});

// A rollback by hand -----------------------------------------------------------------------------

await crashes('a rollback by hand', {
  points: 30,
  // 1: where the first one was cut off with only the configuration written, which is told.
  codes: [0, 1],
  byHand: true,
  memory: { 101: [1000, 4096] },
  create: async () => {
    const under = await node('DEFAULT: {poll_interval: 1}\n', hungry(101));
    await under.run(['once']);
    return under;
  },
  live: (site) => site.run(['rollback', '101']),
  goOn: async (site) => {
    await site.run(['once']);
    // Whoever called it does so again.
    const again = await site.run(['rollback', '101']);
    await site.run(['once']);
    return again;
  },
  // Cut off before it held the daemon off, the container has grown no further meanwhile.
  expectEnd: ({ under }) => {
    expect(under.node.limits(101)).toMatchObject({ memoryMib: 1024 });
    expect(existsSync(join(under.root, 'var/lib/lxc_autoscale/holds/101'))).toBe(true);
  },
});

// The configuration of the program itself --------------------------------------------------------

const FILE = 'etc/lxc_autoscale/lxc_autoscale.yaml';
const OLD = 'DEFAULT: {log_quiet_cycles: True, poll_interval: 17}\n';
const OLDER = '[DEFAULT]\npoll_interval = 42\ncpu_upper_threshold = 85\n';

/** The configuration is the old one or a whole new one, and each backup is the old one. */
function expectConfiguration({ under }: Site): void {
  const directory = join(under.root, 'etc/lxc_autoscale');
  const text = readFileSync(join(under.root, FILE), 'utf8');
  const loaded = parseConfig(text, FILE, {});
  expect(loaded.ok).toBe(true);
  // Both commands end what they write with a newline, and begin it with a comment.
  if (text !== OLD) expect(text).toMatch(/^#[\s\S]*\n$/);
  for (const name of readdirSync(directory).filter((one) => one.endsWith('.backup'))) {
    const copy = readFileSync(join(directory, name), 'utf8');
    expect(copy === OLD || /^#[\s\S]*\n$/.test(copy)).toBe(true);
  }
}

const written = (site: Site): void => {
  expectConfiguration(site);
  expect(readFileSync(join(site.under.root, FILE), 'utf8')).not.toBe(OLD);
  const names = readdirSync(join(site.under.root, 'etc/lxc_autoscale'));
  const backups = names.filter((name) => name.endsWith('.backup'));
  const texts = backups.map((name) =>
    readFileSync(join(site.under.root, 'etc/lxc_autoscale', name), 'utf8'),
  );
  expect(texts).toContain(OLD);
};

const CONFIGURE = ['configure', '--yes', '--for', '1'];
await crashes('configure, which writes a configuration', {
  points: 10,
  create: () => node(OLD, calm(101)),
  live: (site) => site.run(CONFIGURE),
  goOn: (site) => site.run(CONFIGURE),
  expectCut: expectConfiguration,
  expectEnd: written,
});

const MIGRATE = ['migrate-config', '/etc/old.conf', '--out', `/${FILE}`];
await crashes('migrate-config, which writes a configuration', {
  points: 10,
  create: async () => {
    const under = await node(OLD, calm(101));
    writeFileSync(join(under.root, 'etc/old.conf'), OLDER);
    return under;
  },
  live: (site) => site.run(MIGRATE),
  goOn: (site) => site.run(MIGRATE),
  expectCut: expectConfiguration,
  expectEnd: written,
});
