import { existsSync } from 'node:fs';
import { parseConfig } from '../../src/config/load.ts';
import { daemonPolicy, type PolicyOf } from '../../src/lab/daemon-policy.ts';
import type { Demand } from '../../src/lab/demand.ts';
import type { LabPolicy } from '../../src/lab/replay.ts';
import { readTrace } from '../../src/sim/traces.ts';

/** Demand for tests of the lab: part of a recording, all of it if it is at hand, or made up. */

const SHARED = new URL('../../../shared/traces/', import.meta.url).pathname;
export const hasTraces = existsSync(SHARED);

/** The part of a recording that is in the repository. */
export const PART = 'google-2011-part';

export async function recorded(name: string): Promise<readonly Demand[]> {
  const here = new URL(`../fixtures/${name}.csv`, import.meta.url).pathname;
  return readDemands(name === PART ? here : `${SHARED}${name}.csv`);
}

export async function readDemands(path: string): Promise<readonly Demand[]> {
  const read = await readTrace(path);
  if (!read.ok) throw new Error(read.problems.join('\n'));
  return read.trace.series.map(({ name: container, cpuCores, memoryMib }) =>
    made(container, cpuCores, memoryMib.length > 0 ? memoryMib : undefined),
  );
}

export const made = (
  name: string,
  cpu: readonly number[],
  memory?: readonly number[] | undefined,
): Demand => ({
  name,
  stepS: 300,
  cpu: Float64Array.from(cpu),
  memory: memory === undefined ? undefined : Float64Array.from(memory),
});

/** The daemon with the default configuration, but for what is given here. */
export const daemon = (scaling: string): LabPolicy => daemonWith(scaling, 1);

/** The same as careful as that factor says: 0.5 is `behaviour: conservative`, 2 `aggressive`. */
export function daemonWith(scaling: string, stepFactor: number): LabPolicy {
  const yaml = `DEFAULT: {scaling_mode: ${scaling}, max_memory: 16384}`;
  const loaded = parseConfig(`${yaml}\n`, 'lab.yaml', {});
  if (!loaded.ok) throw new Error('the configuration is fine');
  const policyOf: PolicyOf = () => ({ ...loaded.config.defaults, stepFactor });
  return daemonPolicy(scaling, policyOf);
}
