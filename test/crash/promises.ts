import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { fromSavedGroups } from '../../src/core/groups/saved-groups.ts';
import { fromSavedQueues } from '../../src/core/notify/saved-queues.ts';
import { milliseconds } from '../../src/core/units.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { listBackups } from '../../src/store/backup-list.ts';
import { createHolds, HOLDS_DIRECTORY } from '../../src/store/holds.ts';
import { parseSavedState } from '../../src/store/saved-state-schema.ts';
import { createStateFile } from '../../src/store/state-file.ts';
import { readUsage } from '../../src/store/usage-files.ts';
import { filesBelow } from '../files-below.ts';
import type { When } from './points.ts';
import type { Site } from './site.ts';

/** What must be so whenever the program is cut off, and what once it has gone on. */

export interface Kept {
  /** Exit codes that count as an orderly end. */
  readonly codes?: readonly number[];
  /** What memory each container needs at least, and may have at most, in MiB. */
  readonly memory?: Readonly<Record<number, readonly [least: number, most: number]>>;
  /** How often more than usual `pct set` may be called; 1 where nothing is said. */
  readonly moreSets?: number;
  /** Whether what containers have in the end may differ from what they usually have. */
  readonly otherEnd?: boolean;
  /** Changes that the daemon may tell as somebody else's: those of a command beside it. */
  readonly byHand?: boolean;
  /** What else is to be so. */
  readonly expectEnd?: (site: Site, when: When) => void | Promise<void>;
  /** What else is to be so right after the end of the first life. */
  readonly expectCut?: (site: Site) => void;
}

export interface Measure {
  readonly sets: number;
  readonly setsBefore: number;
  readonly confs: ReadonlyMap<number, string>;
}

const LIB = '/var/lib/lxc_autoscale';

/** What anybody may read at this moment is whole, or it is not there. */
export async function expectWhole(site: Site, cut?: Kept): Promise<void> {
  const { root } = site.under;
  const paths = createPaths(root);
  const wall = { wallMs: () => milliseconds(Date.now()), monotonicMs: () => milliseconds(0) };
  const saved: Readonly<Record<string, (content: unknown) => boolean>> = {
    [`${LIB}/state.json`]: (content) => parseSavedState(content).ok,
    [`${LIB}/messages.json`]: (content) => fromSavedQueues(content) !== undefined,
    [`${LIB}/groups.json`]: (content) => fromSavedGroups(content, '').ok,
  };
  for (const [name, isTaken] of Object.entries(saved)) {
    const read = createStateFile(paths, name).read();
    if (!read.ok) expect({ name, why: read.why }).toEqual({ name, why: 'absent' });
    else expect({ name, taken: isTaken(read.value) }).toEqual({ name, taken: true });
  }
  const holds = createHolds({ directory: paths.at(HOLDS_DIRECTORY), clock: wall }).read();
  expect(holds.warnings).toEqual([]);
  expectWholeBackups(root);
  const complaints: string[] = [];
  for await (const { timeS, memoryLimitMib } of readUsage(paths, milliseconds(0), (text) => {
    complaints.push(text);
  })) {
    expect(timeS).toBeGreaterThan(0);
    expect(memoryLimitMib === undefined || memoryLimitMib >= 512).toBe(true);
  }
  expect(complaints).toEqual([]);
  cut?.expectCut?.(site);
}

function expectWholeBackups(root: string): void {
  const listing = listBackups(join(root, LIB, 'backups'));
  if (!listing.ok) throw new Error(listing.detail);
  expect(listing.value.problems).toEqual([]);
  for (const { config, madeFor, path } of listing.value.backups) {
    expect({ path, whole: config.ok, described: madeFor.ok }).toEqual({
      path,
      whole: true,
      described: true,
    });
    const digest = createHash('sha1').update(readFileSync(path)).digest('hex');
    expect(path).toContain(digest.slice(0, 8));
  }
}

const TEXT_LINE = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d - (DEBUG|INFO|WARNING|ERROR) - ./;

/** At most the one line is torn that was in the writing, and it has a line for itself. */
function expectReadableLogs(root: string): void {
  for (const [name, isWhole] of [
    ['lxc_autoscale.log', (line: string) => TEXT_LINE.test(line)],
    ['lxc_autoscale.json', isObject],
  ] as const) {
    const torn = filesOf(root, name).flatMap((path) => {
      const lines = readFileSync(path, 'utf8').split('\n');
      const end = lines.pop();
      // A torn end stays until the next line comes.
      const last = end === undefined || end === '' ? [] : [end];
      return [...lines, ...last].filter((line) => !isWhole(line));
    });
    expect(torn.length, torn.join('\n')).toBeLessThanOrEqual(1);
  }
}

const filesOf = (root: string, log: string): readonly string[] =>
  readdirSync(join(root, 'var/log'))
    .filter((name) => name === log || /^\.[1-9]$/.test(name.slice(log.length)))
    .filter((name) => name.startsWith(log))
    .map((name) => join(root, 'var/log', name));

function isObject(line: string): boolean {
  try {
    return typeof JSON.parse(line) === 'object';
  } catch {
    return false;
  }
}

/** What is to be so once the program has gone on. */
export async function expectKept(
  site: Site,
  kept: Kept,
  usual: Measure,
  when: When,
): Promise<void> {
  const { under } = site;
  await expectNoLeftovers(site);
  await expectWhole(site);
  expectReadableLogs(under.root);
  const sets = site.settings.length - usual.setsBefore;
  // What only the kernel knows of is put right by way of its value, before all else.
  const repairs = when === HALF ? 1 : 0;
  expect(sets).toBeLessThanOrEqual(usual.sets + (kept.moreSets ?? 1) + repairs);
  expectBackedUp(site);
  expectRecorded(site, kept);
  expectBounds(site, kept);
  expect(isInForce(site)).toBe(true);
  if (kept.otherEnd !== true && when !== HALF) {
    const confs = under.node.machine.files.vmids().map((vmid) => [vmid, under.conf(vmid)] as const);
    expect(new Map(confs)).toEqual(usual.confs);
  }
  await kept.expectEnd?.(site, when);
}

export const HALF: When = 'live, and it dies too';

/** Whether what the configuration says is what the kernel goes by. */
const isInForce = ({ under }: Site): boolean =>
  under.node.machine.files.vmids().every((vmid) => {
    const limits = under.node.limits(vmid);
    return limits?.live === undefined || limits.live.memoryMib === limits.memoryMib;
  });

function expectBackedUp(site: Site): void {
  for (const { vmid, confBefore, call } of site.settings) {
    // It was refused if a command of the life before came to its end after this backup.
    if (call.exit !== undefined && call.exit !== 0) continue;
    expect(site.under.backups(vmid)).toContain(confBefore);
  }
}

function expectBounds({ under }: Site, { memory = {} }: Kept): void {
  const { events } = under.node;
  expect(events.filter(({ what }) => what === 'oom-kill' || what === 'died')).toEqual([]);
  for (const { vmid, detail } of events.filter(({ what }) => what === 'set')) {
    const to = /memory \d+ -> (\d+)/.exec(detail)?.[1];
    const [least, most] = memory[vmid] ?? [0, Number.POSITIVE_INFINITY];
    if (to === undefined) continue;
    expect(Number(to)).toBeGreaterThanOrEqual(least);
    expect(Number(to)).toBeLessThanOrEqual(most);
  }
}

/** Each change that came about stands in the JSON log with its two values, at most twice. */
function expectRecorded({ under }: Site, { byHand = false }: Kept): void {
  const lines = filesOf(under.root, 'lxc_autoscale.json')
    .flatMap((path) => readFileSync(path, 'utf8').split('\n'))
    .filter((line) => line !== '' && isObject(line))
    .map((line): Record<string, unknown> => JSON.parse(line));
  const log = under.log();
  for (const { vmid, detail } of under.node.events.filter(({ what }) => what === 'set')) {
    for (const [, key, from = '', to = ''] of detail.matchAll(CHANGE)) {
      const own = lines.filter((line) => line['container_id'] === `${vmid}`);
      const told = own.filter((line) => isAbout(line, from, to));
      const count = told.filter((line) => !isNotInForce(line)).length;
      const words = `Container ${vmid} .*${key === 'cores' ? 'number of cores' : key} was set`;
      const isTold = told.length > 0 || (byHand && new RegExp(words).test(log));
      expect({ vmid, detail, isTold }).toEqual({ vmid, detail, isTold: true });
      expect(count).toBeLessThanOrEqual(2);
    }
  }
}

const CHANGE = /(memory|cores|cpulimit) (\S+) -> ([^\s,]+)/g;

/** What a cut off life may have begun; it stands beside what the next life does for good. */
const isNotInForce = (line: Record<string, unknown>): boolean =>
  `${line['note']}`.includes('it is not active now');

/** A change that was put back is one record of two steps. */
function isAbout(line: Record<string, unknown>, from: string, to: string): boolean {
  const [before, after] = [`${line['before']}`, `${line['after']}`];
  if (before === from && after === to) return true;
  // Of one that was cut off and is not in force nobody knows whether it was for a moment.
  const isPutBack = line['status'] === 'rolled-back' || isNotInForce(line);
  return isPutBack && before === to && after === from;
}

const TEMPORARY = /^\.(.*\.tmp|.*\.probe|output.*)$/;
const HOUR_S = 3600;

function leftovers(root: string): readonly string[] {
  return ['var', 'etc/lxc_autoscale', 'run', 'etc/pve/priv'].flatMap((top) =>
    existsSync(join(root, top))
      ? filesBelow(join(root, top))
          .filter((name) => TEMPORARY.test(name.split('/').at(-1) ?? ''))
          .map((name) => join(top, name))
      : [],
  );
}

/** What a life that was cut off has left goes, at the latest with a start an hour later. */
async function expectNoLeftovers(site: Site): Promise<void> {
  const { root } = site.under;
  const left = leftovers(root);
  if (left.length === 0) return;
  const thenS = Date.now() / 1000 - HOUR_S;
  for (const name of left) {
    if (statSync(join(root, name)).isFile()) utimesSync(join(root, name), thenS, thenS);
  }
  await site.run(['once']);
  expect(leftovers(root)).toEqual([]);
}
