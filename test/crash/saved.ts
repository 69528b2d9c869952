import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeUnderTest } from '../e2e/node-under-test.ts';

/** The state that the program has saved, made over as if time had passed since. */

const FILE = 'var/lib/lxc_autoscale/state.json';
const PASSED_MS = 10_000;

type Json = Record<string, unknown>;

export const savedState = ({ root }: NodeUnderTest): Json =>
  JSON.parse(readFileSync(join(root, FILE), 'utf8'));

function changeState(under: NodeUnderTest, change: (state: Json) => void): void {
  const state = savedState(under);
  change(state);
  writeFileSync(join(under.root, FILE), JSON.stringify(state));
}

interface Sample {
  atMs: number;
  cpu: { value?: { usageUs: number } };
}

interface Boost {
  readonly before: number;
  readonly boosted: number;
  endMs: number;
}

interface Boosting {
  boost?: Boost;
}

/** The saved record of a guest, as far as it is made over here. */
interface SavedRecord {
  readonly life: { readonly sample?: Sample };
  readonly cores: Boosting;
  readonly memory: Boosting;
  readonly intended?: { readonly boosts?: Readonly<Record<string, { endMs: number }>> };
}

const recordsIn = (state: Json): ReadonlyArray<readonly [number, SavedRecord]> =>
  state['guests'] as ReadonlyArray<readonly [number, SavedRecord]>;

/** How many boosts are on, by what was saved. */
export const savedBoosts = (under: NodeUnderTest): number =>
  recordsIn(savedState(under)).flatMap(([, { cores, memory }]) =>
    [cores.boost, memory.boost].filter((boost) => boost !== undefined),
  ).length;

/** As if the cores of a container had been boosted. */
export function beginBoost(under: NodeUnderTest, vmid: number, boost: Boost): void {
  changeState(under, (state) => {
    for (const [id, { cores }] of recordsIn(state)) if (id === vmid) cores.boost = boost;
  });
}

/** As if the time of each boost were over, wherever it is noted. */
export function endBoosts(under: NodeUnderTest): void {
  changeState(under, (state) => {
    for (const [, { cores, memory, intended }] of recordsIn(state)) {
      const boosts = [cores.boost, memory.boost, ...Object.values(intended?.boosts ?? {})];
      for (const boost of boosts) if (boost !== undefined) boost.endMs = 1;
    }
  });
}

/** As if the samples were ten seconds old, in which containers used so many cores. */
export function letSamplesAge(under: NodeUnderTest, cores: Readonly<Record<number, number>>): void {
  changeState(under, (state) => {
    for (const [vmid, { life }] of recordsIn(state)) {
      const { sample } = life;
      if (sample === undefined) continue;
      sample.atMs -= PASSED_MS;
      const { value } = sample.cpu;
      if (value !== undefined) value.usageUs -= (cores[vmid] ?? 0) * PASSED_MS * 1000;
    }
  });
}
