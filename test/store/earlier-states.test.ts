import { describe, expect, it } from 'vitest';
import { newLoopState } from '../../src/core/loop-state.ts';
import { takeOver, toSaved } from '../../src/core/saved-state.ts';
import { milliseconds } from '../../src/core/units.ts';
import { parseSavedState } from '../../src/store/saved-state-schema.ts';
import { EARLIER } from '../upgrade/earlier-builds.ts';
import { recordedTree, textIn } from '../upgrade/tree.ts';

/** States as earlier builds have really written them. */

const STATE = 'var/lib/lxc_autoscale/state.json';
const stateOf = (commit: string): Record<string, unknown> =>
  JSON.parse(textIn(recordedTree(commit), STATE));

/** Numbers and texts that are said of each guest, wherever they stand. */
function said(content: unknown, of: string, found = new Map<string, string[]>()) {
  if (Array.isArray(content)) {
    const [first, second] = content;
    const id = /^([1-9]\d{2,8})(?:\/[a-z/]+)?$/.exec(String(first))?.[1];
    if (content.length === 2 && id !== undefined && typeof second !== 'string') {
      said(second, id, found);
    } else if (content.length === 2 && id !== undefined) said([second], id, found);
    else for (const each of content) said(each, of, found);
  } else if (typeof content === 'object' && content !== null) {
    for (const [name, each] of Object.entries(content)) {
      // Only what stands under a name, so that a figure is not taken for another one.
      if (typeof each === 'number' || typeof each === 'string')
        found.set(of, [...(found.get(of) ?? []), `${name} ${each}`]);
      else said(each, of, found);
    }
  } else if (typeof content === 'number' || typeof content === 'string') {
    found.set(of, [...(found.get(of) ?? []), String(content)]);
  }
  return found;
}

/** What is said of guests, without the file's own figures. */
const ofGuests = (content: unknown): ReadonlyMap<string, string[]> => {
  const found = said(content, '');
  found.delete('');
  return found;
};

describe.each(EARLIER.filter(({ state }) => state > 1))('the state of $commit', ({ commit }) => {
  it('is read with all that it says of guests', () => {
    const content = stateOf(commit);
    const parsed = parseSavedState(content);
    if (!parsed.ok) throw new Error(parsed.detail);
    const { boot, savedMs, savedWallMs } = parsed.value;
    const now = { nowMs: milliseconds(savedMs), wallMs: milliseconds(savedWallMs) };
    const state = newLoopState();
    takeOver(state, parsed.value, boot, now);
    const kept = ofGuests(JSON.parse(JSON.stringify(toSaved(state, boot, now))));
    const before = ofGuests(content);
    expect([...kept.keys()].sort()).toEqual([...before.keys()].sort());
    for (const [vmid, facts] of before) {
      const figures = (all: readonly string[] = []) => all.map((fact) => fact.split(' ').pop());
      expect(figures(kept.get(vmid)), vmid).toEqual(expect.arrayContaining(figures(facts)));
    }
  });

  it('has a boost, a failure, a hold by hand and an OOM kill in it', () => {
    const text = JSON.stringify(stateOf(commit));
    expect(text).toMatch(/"boosted":3/);
    expect(text).toMatch(/"retryAtMs"/);
    expect(text).toMatch(/handHold/);
    expect(text).toMatch(/"limitMib":4096/);
    expect(text).toMatch(/"before":2048/);
  });
});

it('a state from before boosts is not taken over, and said to be of another version', () => {
  expect(parseSavedState(stateOf('48c1cfb'))).toMatchObject({
    ok: false,
    detail: 'its version is 1, not 3',
  });
});
