import { takeOverMigrated } from '../../src/app/migrations.ts';
import { newLoopState } from '../../src/core/loop-state.ts';
import { present } from '../../src/core/reading.ts';
import { mib, milliseconds } from '../../src/core/units.ts';
import { runCycle } from '../../src/loop/cycle.ts';
import { host, hostMemory, vmid } from '../core/builders.ts';
import { type FakeContainer, FakeNode } from '../loop/fake-node.ts';
import { breathe } from '../patience.ts';
import { configOf, settingsOf } from './drive.ts';

/**
 * A cluster whose containers are moved by a balancer as that of Proxmox VE 9.2: in each round of
 * the HA manager (10 s) it weighs the nodes, and if their imbalance stays above a threshold for
 * some rounds it carries out the one move that lowers it most, if that is worth it. A container
 * that is moved is restarted.
 *
 * | mode    | the load of a node is the mean of                              |
 * | ------- | -------------------------------------------------------------- |
 * | static  | configured cores and configured memory, as shares of the node  |
 * | dynamic | cores and memory in use, as shares of the node                 |
 */

export type Mode = 'static' | 'dynamic';

export interface Habit {
  readonly vmid: number;
  readonly cores: number;
  readonly memoryMib: number;
  /** Cores that it would use, at a time of the day in hours. */
  readonly wants: (hour: number) => number;
  readonly usesMib: (hour: number) => number;
}

export interface Balanced {
  readonly moves: number;
  /** Moves that take a container back to where it was within an hour. */
  readonly returns: number;
  readonly changes: number;
  /** Core hours that were wanted and not had. */
  readonly missedHours: number;
}

const NODES = 3;
const CPUS = 16;
const MEMORY_MIB = 65_536;
const ROUND_MS = 10_000;
const POLL_MS = 60_000;
const HOUR_MS = 3_600_000;
/** The next three as Proxmox VE has them by default, as far as it is told. */
const THRESHOLD = 0.3;
export const HOLD_ROUNDS = 3;
const MARGIN = 0.1;

interface Member {
  readonly node: FakeNode;
  readonly state: ReturnType<typeof newLoopState>;
  busyMs: number;
}

interface Load {
  readonly cpu: number;
  readonly memory: number;
}

export class Cluster {
  readonly members: readonly Member[];
  readonly #habits: readonly Habit[];
  readonly #mode: Mode;
  readonly #holdRounds: number;
  #above = 0;
  #lives = 1000;
  readonly #was = new Map<number, { readonly from: number; readonly atMs: number }>();
  #moves = 0;
  #returns = 0;
  #missedMs = 0;

  constructor(mode: Mode, habits: readonly Habit[], holdRounds = HOLD_ROUNDS) {
    this.#mode = mode;
    this.#holdRounds = holdRounds;
    this.#habits = habits;
    this.members = Array.from({ length: NODES }, () => {
      return { node: new FakeNode(), state: newLoopState(), busyMs: 0 };
    });
    for (const [index, { vmid: id, cores, memoryMib }] of habits.entries()) {
      this.#member(index % NODES).node.add(id, { cores, memoryMib: mib(memoryMib) });
    }
  }

  /** @param scales whether the program changes anything */
  async play(hours: number, scales: boolean): Promise<Balanced> {
    const settings = settingsOf(configOf('DEFAULT: {poll_interval: 60}\n'));
    for (let atMs = 0; atMs < hours * HOUR_MS; atMs += ROUND_MS) {
      if (atMs % HOUR_MS === 0) await breathe();
      this.#pass(atMs);
      if (scales && atMs % POLL_MS === 0) await this.#cycles(settings);
      this.#round(atMs);
    }
    const changes = this.members.reduce((sum, { node }) => sum + node.sets.length, 0);
    const missedHours = this.#missedMs / HOUR_MS;
    return { moves: this.#moves, returns: this.#returns, changes, missedHours };
  }

  #member(index: number): Member {
    const member = this.members[index];
    if (member === undefined) throw new Error(`there is no node ${index}`);
    return member;
  }

  #pass(atMs: number): void {
    for (const member of this.members) {
      const { node } = member;
      for (const [id, one] of node.containers) {
        const habit = this.#habits.find((each) => each.vmid === id);
        const wants = habit?.wants((atMs / HOUR_MS) % 24) ?? 0;
        one.load = Math.min(wants, one.config.cores ?? CPUS);
        this.#missedMs += (wants - one.load) * ROUND_MS;
        one.memory = { current: habit?.usesMib((atMs / HOUR_MS) % 24) ?? 0 };
        member.busyMs += one.load * ROUND_MS;
      }
      node.rebalance();
      node.pass(ROUND_MS);
      const used = sumOf(node, ({ memory }) => memory.current ?? 0);
      const cpuTimes = present({ busyTicks: member.busyMs, totalTicks: CPUS * node.nowMs });
      const memory = present(hostMemory(MEMORY_MIB, MEMORY_MIB - used));
      node.seen = { ...host(), cpuTimes, memory };
    }
  }

  async #cycles(settings: ReturnType<typeof settingsOf>): Promise<void> {
    const all = this.members.map(({ node, state }, index) => {
      return { name: `pve${index + 1}`, world: node.world, state };
    });
    const nodes = new Set(all.map(({ name }) => name));
    for (const one of all) {
      takeOverMigrated(one, all, () => undefined);
      const handover = { nodes, withinMs: milliseconds(2 * POLL_MS) };
      await runCycle(one.world, { ...settings, handover }, one.state, NEVER);
    }
  }

  // The balancer --------------------------------------------------------------------------------

  #round(atMs: number): void {
    const loads = this.members.map(({ node }) => this.#loadOf(node));
    const before = imbalance(loads);
    this.#above = before > THRESHOLD ? this.#above + 1 : 0;
    if (this.#above < this.#holdRounds) return;
    this.#above = 0;
    const best = this.#bestMove(loads);
    if (best === undefined || before - best.after < MARGIN * before) return;
    this.#move(best, atMs);
  }

  #bestMove(loads: readonly Load[]) {
    let best: { id: number; from: number; to: number; after: number } | undefined;
    for (const [from, { node }] of this.members.entries()) {
      for (const [id, one] of node.containers) {
        for (let to = 0; to < NODES; to += 1) {
          if (to === from) continue;
          const own = this.#weightOf(one);
          const moved = loads.map((load, index) =>
            index === from ? plus(load, own, -1) : index === to ? plus(load, own, 1) : load,
          );
          const after = imbalance(moved);
          if (after < (best?.after ?? Number.POSITIVE_INFINITY)) best = { id, from, to, after };
        }
      }
    }
    return best;
  }

  #move({ id, from, to }: { id: number; from: number; to: number }, atMs: number): void {
    const { containers } = this.#member(from).node;
    const one = containers.get(vmid(id));
    if (one === undefined) return;
    containers.delete(vmid(id));
    this.#lives += 1;
    const restarted = { ...one, identity: this.#lives, cpuUs: 0, limitMib: one.config.memoryMib };
    this.#member(to).node.containers.set(vmid(id), restarted);
    const last = this.#was.get(id);
    if (last?.from === to && atMs - last.atMs < HOUR_MS) this.#returns += 1;
    this.#was.set(id, { from, atMs });
    this.#moves += 1;
  }

  #loadOf(node: FakeNode): Load {
    return [...node.containers.values()]
      .map((one) => this.#weightOf(one))
      .reduce((sum, one) => plus(sum, one, 1), { cpu: 0, memory: 0 });
  }

  #weightOf({ config, load, memory }: FakeContainer): Load {
    return this.#mode === 'static'
      ? { cpu: (config.cores ?? CPUS) / CPUS, memory: config.memoryMib / MEMORY_MIB }
      : { cpu: load / CPUS, memory: (memory.current ?? 0) / MEMORY_MIB };
  }
}

const NEVER = new AbortController().signal;

const plus = (one: Load, other: Load, sign: 1 | -1): Load => ({
  cpu: one.cpu + sign * other.cpu,
  memory: one.memory + sign * other.memory,
});

const sumOf = ({ containers }: FakeNode, of: (one: FakeContainer) => number): number =>
  [...containers.values()].reduce((sum, one) => sum + of(one), 0);

/** How far the loads are apart, from 0 to 1: their coefficient of variation by its maximum. */
function imbalance(loads: readonly Load[]): number {
  const all = loads.map(({ cpu, memory }) => (cpu + memory) / 2);
  const mean = all.reduce((sum, one) => sum + one, 0) / all.length;
  if (mean === 0) return 0;
  const variance = all.reduce((sum, one) => sum + (one - mean) ** 2, 0) / all.length;
  return Math.sqrt(variance) / mean / Math.sqrt(all.length - 1);
}
