import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeUnderTest } from '../e2e/node-under-test.ts';

/** The state that the program has saved, made over as if time had passed since. */

const FILE = 'var/lib/lxc_autoscale/state.json';
const PASSED_MS = 10_000;

type Json = Record<string, unknown>;

export const savedState = ({ root }: NodeUnderTest): Json =>
  JSON.parse(readFileSync(join(root, FILE), 'utf8'));

export function changeState(under: NodeUnderTest, change: (state: Json) => void): void {
  const state = savedState(under);
  change(state);
  writeFileSync(join(under.root, FILE), JSON.stringify(state));
}

interface Sample {
  atMs: number;
  cpu: { value?: { usageUs: number } };
}

/** As if the samples were ten seconds old, in which containers used so many cores. */
export function letSamplesAge(under: NodeUnderTest, cores: Readonly<Record<number, number>>): void {
  changeState(under, (state) => {
    for (const [vmid, sample] of state['samples'] as [number, Sample][]) {
      sample.atMs -= PASSED_MS;
      const { value } = sample.cpu;
      if (value !== undefined) value.usageUs -= (cores[vmid] ?? 0) * PASSED_MS * 1000;
    }
  });
}
