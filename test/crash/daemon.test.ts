import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { calm, guest, hungry, NodeUnderTest } from '../e2e/node-under-test.ts';
import { endBoosts, savedBoosts } from './saved.ts';
import { crashes, onceLater } from './scenario.ts';
import type { Death, Life, Site } from './site.ts';

/** A daemon's life from its start to its end, cut off at each write and command. */

const METRICS = '/var/lib/lxc_autoscale/textfile/lxc_autoscale.prom';
const yaml = (maxMemory: number): string =>
  `DEFAULT: {poll_interval: 3600, sample_interval: 3600, max_memory: ${maxMemory}, ` +
  `metrics_textfile: ${METRICS}}\n`;

/** As systemd starts it: told of by a program that a stand-in takes the place of. */
function supervised({ under }: Site): Readonly<Record<string, string>> {
  const notify = join(under.node.binDirectory, 'systemd-notify');
  writeFileSync(notify, '#!/bin/sh\nexit 0\n');
  chmodSync(notify, 0o755);
  return { NOTIFY_SOCKET: join(under.root, 'run/notify') };
}

async function stop(life: Life): Promise<Death> {
  if (life.child.exitCode === null) life.child.kill('SIGTERM');
  return life.ended;
}

const times = (text: string, part: string): number => text.split(part).length - 1;

/** One cycle, a reload, and the end. */
async function lifeWithReload(site: Site): Promise<Death> {
  const { under } = site;
  const cycles = times(under.log(), 'Next run in');
  const life = site.begin(['daemon'], supervised(site));
  await site.until(life, () => times(under.log(), 'Next run in') > cycles);
  under.configure(yaml(2048));
  const reloads = times(under.log(), 'The configuration was reloaded');
  if (life.child.exitCode === null) life.child.kill('SIGHUP');
  await site.until(life, () => times(under.log(), 'The configuration was reloaded') > reloads);
  return stop(life);
}

await crashes('a daemon that is started, reloaded and stopped', {
  points: 80,
  own: /^systemd-notify|control\.sock|\.prom|^mkdir run/,
  memory: { 101: [1000, 2048] },
  create: async () => {
    const under = await NodeUnderTest.create([hungry(101)]);
    under.configure(yaml(1536));
    mkdirSync(dirname(join(under.root, METRICS)), { recursive: true });
    return under;
  },
  live: lifeWithReload,
  goOn: lifeWithReload,
  expectCut: ({ under }) => {
    const text = textOf(under, METRICS);
    // What node_exporter reads is whole: its last line is.
    if (text !== '') expect(text).toMatch(/\n[a-z_]+(\{.*\})? [0-9.e+-]+\n$/);
  },
});

function textOf({ root }: NodeUnderTest, path: string): string {
  try {
    return readFileSync(join(root, path), 'utf8');
  } catch {
    return '';
  }
}

// A boost ----------------------------------------------------------------------------------------

const BOOST =
  'DEFAULT: {poll_interval: 3600, sample_interval: 1, consecutive_samples: 1, ' +
  'scaling_mode: boost, boost_factor: 1.5, cpu_upper_threshold: 100}\n';

const BOOSTED = /-> 3 cores, since [^\n]* (Configured|Confirmed)\./;

/** Until a boost has begun, and is on record. */
async function boosted(site: Site): Promise<Death> {
  const life = site.begin(['daemon']);
  await site.until(life, () => BOOSTED.test(site.under.log()));
  return stop(life);
}

/** As if the time of a boost were over: it ends with the next cycle, wherever it is noted. */
async function boostOver(site: Site): Promise<Death> {
  try {
    endBoosts(site.under);
  } catch {
    // Cut off before the first state was saved.
  }
  return onceLater(site);
}

await crashes('a boost that has just begun', {
  points: 80,
  own: /^pct/,
  create: async () => {
    const spec = guest(101, { cores: 2, memoryMib: 1024 }, { cpuCores: 8, anonMib: 500 });
    const under = await NodeUnderTest.create([spec, calm(102)]);
    under.configure(BOOST);
    return under;
  },
  live: boosted,
  goOn: boostOver,
  // The boost itself, and its end in each of two lives that look.
  moreSets: 2,
  expectEnd: ({ under }) => {
    expect(under.node.limits(101)?.cores).toBe(2);
    expect(savedBoosts(under)).toBe(0);
  },
});
