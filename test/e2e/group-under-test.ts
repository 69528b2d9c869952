import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { guestText } from '../../src/sim/guest-text.ts';
import type { NodeOptions } from '../../src/sim/node.ts';
import type { Demand } from '../../src/sim/plant.ts';
import { PATIENCE_MS } from '../patience.ts';
import { NodeUnderTest, type Running } from './node-under-test.ts';

/** A simulated node with a group on it, whose members share a load among them. */

export const SOURCE = 101;
export const FIRST_ID = 99_000;

export interface GroupKeys {
  readonly [key: string]: unknown;
}

/** Cooldowns in seconds where a real node has minutes. */
const KEYS: GroupKeys = {
  source: SOURCE,
  lxc_containers: [SOURCE],
  min_instances: 2,
  max_instances: 5,
  starting_clone_id: FIRST_ID,
  clone_network_type: 'static',
  static_ip_range: ['198.18.9.10', '198.18.9.19'],
  gateway: '198.18.9.1',
  horiz_cpu_upper_threshold: 80,
  horiz_cpu_lower_threshold: 30,
  scale_out_grace_period: 1,
  scale_in_grace_period: 1,
  warmup_seconds: 1,
  ready_timeout: 10,
};

export const groupKeys = (keys: GroupKeys = {}): GroupKeys => ({ ...KEYS, ...keys });

/** The settings of containers change nothing here: all is decided upon and only observed. */
export const configuration = (keys: GroupKeys = {}, defaults: GroupKeys = {}): string =>
  JSON.stringify({
    DEFAULT: { poll_interval: 1, log_quiet_cycles: 'True', scaling_mode: 'observe', ...defaults },
    HORIZONTAL_SCALING_GROUP_web: groupKeys(keys),
  });

/** Where the members of the group are written down. */
export const LEDGER = 'etc/pve/priv/lxc_autoscale/web.json';

const isSettled = (state: string): boolean => state === 'serving' || state === 'leaving';

export interface Member {
  readonly vmid: number;
  readonly text: string;
  readonly running: boolean;
}

export class GroupUnderTest {
  readonly under: NodeUnderTest;
  #configured: readonly [GroupKeys, GroupKeys];
  readonly #load: { cores: number };

  private constructor(
    under: NodeUnderTest,
    load: { cores: number },
    configured: readonly [GroupKeys, GroupKeys],
  ) {
    this.under = under;
    this.#load = load;
    this.#configured = configured;
  }

  static async create(
    keys: GroupKeys = {},
    options: Partial<NodeOptions> = {},
    defaults: GroupKeys = {},
  ): Promise<GroupUnderTest> {
    const load = { cores: 1 };
    let made: GroupUnderTest | undefined;
    const share = (): Demand => {
      const members = made?.members().filter(({ running }) => running).length ?? 1;
      return { cpuCores: load.cores / Math.max(1, members), anonMib: 200 };
    };
    const text = guestText({ vmid: SOURCE, name: 'web', cores: 2, memoryMib: 1024, tags: 'prod' });
    const source = { vmid: SOURCE, conf: `#secret%3A notes\n${text}`, demand: share };
    const under = await NodeUnderTest.create([source], { cloneDemand: () => share, ...options });
    made = new GroupUnderTest(under, load, [keys, defaults]);
    return made;
  }

  /** Other keys of the group, from the next life on. */
  configure(keys: GroupKeys): void {
    this.#configured = [keys, this.#configured[1]];
    this.under.configure(configuration(keys));
  }

  /** Cores that the whole group is asked for. */
  ask(cores: number): void {
    this.#load.cores = cores;
  }

  /** @param before as with `NodeUnderTest` */
  start(before: readonly string[] = []): Running {
    const [keys, defaults] = this.#configured;
    this.under.configure(configuration(keys, defaults));
    return this.under.start(['daemon'], this.under.path, before);
  }

  /** All containers of the node but those that have nothing to do with the group. */
  members(): readonly Member[] {
    const { node } = this.under;
    return node.machine.files.vmids().map((vmid) => ({
      vmid,
      text: this.under.conf(vmid),
      running: node.machine.running(vmid) !== undefined,
    }));
  }

  /** Those that a user can be sent to. */
  inService(): readonly number[] {
    const states = this.states();
    const serves = ({ vmid, running }: Member): boolean =>
      running && (vmid === SOURCE || states.get(vmid) === 'serving');
    return this.members()
      .filter(serves)
      .map(({ vmid }) => vmid);
  }

  /** Resolves when it is so; says what there is where it does not come to be. */
  async until(what: () => boolean, limitMs = PATIENCE_MS): Promise<void> {
    const endMs = performance.now() + limitMs;
    while (performance.now() < endMs) {
      if (what()) return;
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    const state = this.members().map(({ vmid, text, running }) => `${vmid} ${running}\n${text}`);
    throw new Error(`it never came to be: ${what}\n${state.join('\n')}\n${this.under.log()}`);
  }

  /** Whether nothing is under way in any configuration. */
  isClean(): boolean {
    const states = [...this.states().values()];
    if (states.some((state) => !isSettled(state))) return false;
    return this.members().every(({ text }) => !/^\[|^lock:/m.test(text));
  }

  /** What the ledger says of the members that there are. One that is gone goes at the next look. */
  states(): ReadonlyMap<number, string> {
    const path = join(this.under.root, LEDGER);
    if (!existsSync(path)) return new Map();
    const { members } = JSON.parse(readFileSync(path, 'utf8'));
    const there = new Set(this.members().map(({ vmid }) => vmid));
    const entries: readonly { vmid: number; state: string }[] = members;
    return new Map(entries.flatMap(({ vmid, state }) => (there.has(vmid) ? [[vmid, state]] : [])));
  }

  /** In the end nothing is left of anything, and nobody has what somebody else has. */
  expectClean(): void {
    const confs = this.members();
    for (const { text } of confs) {
      expect(text).not.toMatch(/^\[/m);
      expect(text).not.toMatch(/^lock:/m);
    }
    const states = this.states();
    for (const state of states.values()) expect(isSettled(state)).toBe(true);
    const addresses = confs.map(({ text }) => /ip=([0-9.]+)\//.exec(text)?.[1]);
    expect(new Set(addresses).size).toBe(confs.length);
    const hardware = confs.map(({ text }) => /hwaddr=([0-9A-F:]+)/.exec(text)?.[1]);
    expect(new Set(hardware).size).toBe(confs.length);
    const output = join(this.under.root, 'run/lxc_autoscale');
    expect(readdirSync(output).filter((name) => name.startsWith('.output'))).toEqual([]);
  }

  state(): string {
    return readFileSync(join(this.under.root, 'var/lib/lxc_autoscale/groups.json'), 'utf8');
  }
}
