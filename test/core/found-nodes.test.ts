import { describe, expect, it } from 'vitest';
import {
  type ClusterSeen,
  type FoundNode,
  leftToObserve,
  leftWords,
  seenFor,
  sortOut,
} from '../../src/core/found-nodes.ts';
import { milliseconds } from '../../src/core/units.ts';

const DAY_MS = 86_400_000;
const node = (seenMs: number): FoundNode => ({
  name: 'pve2',
  by: 'lab',
  seenMs: milliseconds(seenMs),
});

describe('the day of a node that was found', () => {
  const seen = (one: FoundNode, sinceMs: number, mayEnd = true): FoundNode =>
    seenFor(one, { sinceMs, intervalMs: 60_000 }, mayEnd);

  it('is the time for which it was seen, and a gap counts as one look', () => {
    expect(seen(node(0), 30_000).seenMs).toBe(30_000);
    expect(seen(node(0), 50_000_000).seenMs).toBe(120_000);
    expect(seen(node(1000), -5000).seenMs).toBe(1000);
  });

  it('ends once, and not while an entry may be the same node', () => {
    expect(leftToObserve(seen(node(DAY_MS - 1), 30_000))).toBe(0);
    expect(leftToObserve(seen(node(DAY_MS - 1), 30_000, false))).toBe(60_000);
    expect(leftToObserve(seen(node(DAY_MS), 30_000, false))).toBe(0);
  });

  it.each([
    [DAY_MS, '24 h 0 min'],
    [DAY_MS - 1, '24 h 0 min'],
    [60_000, '0 h 1 min'],
    [1, '0 h 1 min'],
  ])('%i ms are said as %s', (leftMs, words) => expect(leftWords(leftMs)).toBe(words));
});

describe('the other nodes of a cluster', () => {
  const cluster = (...names: readonly string[]): ClusterSeen => ({
    own: 'pve1',
    members: ['pve1', ...names].map((name) => ({ name, host: `10.0.0.${name.length}` })),
    isQuorate: true,
  });
  const sorted = (seen: ClusterSeen, found: readonly FoundNode[], taken: readonly string[] = []) =>
    sortOut(seen, 'lab', found, ({ name }) => taken.includes(name));

  it('are fresh, known, or no nodes at all', () => {
    expect(sorted(cluster('pve22', 'pve333', '../x'), [], ['pve333'])).toEqual({
      fresh: [{ name: 'pve22', by: 'lab', host: '10.0.0.5', seenMs: 0 }],
      known: ['pve333'],
      odd: ['../x'],
      tooMany: 0,
    });
  });

  it('one that was found before is neither, and one of another cluster is known', () => {
    expect(sorted(cluster('PVE2'), [node(0)])).toMatchObject({ fresh: [], known: [] });
    const others = { ...node(0), by: 'other' };
    expect(sorted(cluster('pve2'), [others])).toMatchObject({ fresh: [], known: ['pve2'] });
    const sameHost = { ...others, name: 'x', host: '10.0.0.4' };
    expect(sorted(cluster('pve2'), [sameHost])).toMatchObject({ fresh: [], known: ['pve2'] });
  });
});
