import type { Plant, PlantContainer, PlantEvent } from './plant.ts';
import { unreclaimableBytes } from './plant-memory.ts';

/** How well containers fared over a time, and what they cost. */

export interface ContainerScore {
  oomKills: number;
  /** Of these, the ones for which the host itself was out of memory. */
  hostOomKills: number;
  /** CPU was wanted beyond what was given, by more than 5 %. */
  starvedCpuMs: number;
  /** A process was down after an OOM kill, or memory was swapped out. */
  starvedMemoryMs: number;
  changes: number;
  /** Changes that `pct` did not carry out. */
  refused: number;
  allocatedCoreMs: number;
  usedCoreMs: number;
  allocatedMibMs: number;
  usedMibMs: number;
}

export const newScore = (): ContainerScore => ({
  oomKills: 0,
  hostOomKills: 0,
  starvedCpuMs: 0,
  starvedMemoryMs: 0,
  changes: 0,
  refused: 0,
  allocatedCoreMs: 0,
  usedCoreMs: 0,
  allocatedMibMs: 0,
  usedMibMs: 0,
});

const MIB = 1024 * 1024;
const STARVED_FACTOR = 1.05;

export class ScoreKeeper {
  readonly #scores = new Map<number, ContainerScore>();
  /** Containers whose init was killed: they are down until somebody starts them. */
  readonly #dead = new Set<number>();

  of(vmid: number): ContainerScore {
    const score = this.#scores.get(vmid) ?? newScore();
    this.#scores.set(vmid, score);
    return score;
  }

  total(): ContainerScore {
    const sum = newScore();
    for (const score of this.#scores.values()) {
      for (const key of Object.keys(sum) as (keyof ContainerScore)[]) sum[key] += score[key];
    }
    return sum;
  }

  /** What the last step was like. */
  step(plant: Plant, elapsedMs: number): void {
    for (const container of plant.containers()) this.#stepOne(container, plant.hostMs, elapsedMs);
    for (const vmid of this.#dead) this.of(vmid).starvedMemoryMs += elapsedMs;
  }

  take(event: PlantEvent): void {
    if (event.kind === 'died') {
      this.#dead.add(event.vmid);
      return;
    }
    const score = this.of(event.vmid);
    score.oomKills += 1;
    if (event.scope === 'host') score.hostOomKills += 1;
  }

  started(vmid: number): void {
    this.#dead.delete(vmid);
  }

  #stepOne(container: PlantContainer, nowMs: number, elapsedMs: number): void {
    const { vmid, cpu, limits, memory, diesAtMs, processFromMs } = container;
    const score = this.of(vmid);
    if (cpu.wantedCores > cpu.usedCores * STARVED_FACTOR) score.starvedCpuMs += elapsedMs;
    const down = diesAtMs !== undefined || nowMs < processFromMs;
    if (down || memory.swapBytes > 0) score.starvedMemoryMs += elapsedMs;
    const allocated = Math.min(limits.cpus.length, limits.cpuLimit ?? limits.cpus.length);
    score.allocatedCoreMs += allocated * elapsedMs;
    score.usedCoreMs += cpu.usedCores * elapsedMs;
    score.allocatedMibMs += (limits.memoryMaxBytes / MIB) * elapsedMs;
    score.usedMibMs += (unreclaimableBytes(memory) / MIB) * elapsedMs;
  }
}
