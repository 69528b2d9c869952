import type { GroupInput, GroupWish } from '../../../src/core/groups/draft.ts';
import type { GroupPolicy } from '../../../src/core/groups/group-policy.ts';
import { type GroupState, newGroupState } from '../../../src/core/groups/group-state.ts';
import type { GroupGuest, MemberLife } from '../../../src/core/groups/group-view.ts';
import {
  type GroupLedger,
  ledgerText,
  newLedger,
  parseLedger,
} from '../../../src/core/groups/ledger.ts';
import { applyOutcome, entryAfter, type StepOutcome } from '../../../src/core/groups/outcome.ts';
import { type GroupPlan, reconcile } from '../../../src/core/groups/reconcile.ts';
import { fromSavedGroups, toSavedGroups } from '../../../src/core/groups/saved-groups.ts';
import { type Step, subjectsOf } from '../../../src/core/groups/step.ts';
import { guestIdentity } from '../../../src/core/identity.ts';
import { missing, present } from '../../../src/core/reading.ts';
import { mib, milliseconds, ratio, type Vmid } from '../../../src/core/units.ts';
import { guest as guestConfig, vmid } from '../builders.ts';

/** A cluster in a few lines: what `pct` makes of a step, and where that can be cut off. */

export const SOURCE = 101;

export const policy = (own: Partial<GroupPolicy> = {}): GroupPolicy => ({
  name: 'HORIZONTAL_SCALING_GROUP_web',
  label: 'web',
  tag: 'autoscale-group-web',
  listed: [],
  source: vmid(SOURCE),
  sourceSnapshot: undefined,
  minInstances: 2,
  maxInstances: 5,
  firstId: vmid(200),
  cloneMode: 'full',
  network: {
    type: 'static',
    addresses: ['10.0.0.10', '10.0.0.30'],
    bridge: undefined,
    gateway: undefined,
  },
  startOrder: undefined,
  upper: { cpu: ratio(0.8), memory: ratio(0.95) },
  lower: { cpu: ratio(0.3), memory: undefined },
  scaleIn: 'destroy',
  outGraceMs: milliseconds(10_000),
  inGraceMs: milliseconds(10_000),
  warmupMs: milliseconds(0),
  readyTimeoutMs: milliseconds(60_000),
  cloneTimeoutMs: milliseconds(600_000),
  health: { kind: 'none', port: 0, path: '/', healthyCount: 1, unhealthyCount: 3 },
  onReady: [],
  onTerminating: [],
  hookTimeoutMs: milliseconds(60_000),
  ...own,
});

export interface Box {
  vmid: Vmid;
  running: boolean;
  lock: string | undefined;
  tags: readonly string[];
  description: readonly string[];
  net0: string;
  /** undefined while it is copied. */
  rootfs: string | undefined;
  protection: boolean;
  onboot: boolean;
  /** By name, and when each was taken. */
  snapshots: Map<string, string>;
  /** Those that are being taken or removed. */
  unfinished: Set<string>;
  version: number;
}

/** A step under way: what is left of it to be done. */
interface Work {
  readonly step: Step;
  readonly phases: (() => void)[];
  /** Whether the program that began it is still there to hear of its end. */
  heard: boolean;
  readonly pid: number;
}

/** See `#clonePhases`. */
const CLONE_PHASES = 3;

export class ModelCluster {
  readonly boxes = new Map<Vmid, Box>();
  readonly foreignIds = new Set<Vmid>();
  readonly policy: GroupPolicy;
  readonly work: Work[] = [];
  readonly seen: Step[] = [];
  state: GroupState = newGroupState();
  /** As it lies in the file. */
  ledgerFile = '';
  readonly storageTypes = new Map([['local-lvm', 'lvmthin']]);
  /** Containers that stand still. */
  readonly frozen = new Set<Vmid>();
  /** Commands that end without an error and do nothing. */
  readonly idle = new Set<Step['kind']>();
  readonly sources = new Set([vmid(SOURCE)]);
  #nonce = 0;
  #saved: string | undefined;
  nowMs = 1_000_000;
  boot = 'a';
  /** What another may have of the memory of the host, those on their way counted. */
  hostHeadroomMib = 99_999;
  load = 1;
  /** false: on another node, where a command ends with its line. */
  unseenEnd: false | undefined;
  #pid = 100;
  #version = 0;

  constructor(own: Partial<GroupPolicy> = {}) {
    this.policy = policy(own);
    this.boxes.set(vmid(SOURCE), {
      vmid: vmid(SOURCE),
      running: true,
      lock: undefined,
      tags: ['prod'],
      description: [],
      net0: 'name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=10.0.0.2/24',
      snapshots: new Map(),
      rootfs: 'local-lvm:vm-101-disk-0',
      protection: false,
      onboot: true,
      version: 0,
      unfinished: new Set(),
    });
  }

  box(id: number): Box {
    const found = this.boxes.get(vmid(id));
    if (found === undefined) throw new Error(`there is no container ${id}`);
    return found;
  }

  /** All but the source, and what was cut off before anybody could say whose it is. */
  members(): Box[] {
    return [...this.boxes.values()].filter(
      ({ vmid: id, net0, lock }) => id !== SOURCE && !(net0 === '' && lock === 'create'),
    );
  }

  inService(): Box[] {
    const { members } = this.ledger();
    const serves = (box: Box) => members.get(box.vmid)?.state === 'serving';
    return this.members().filter((box) => box.running && serves(box));
  }

  ledger(): GroupLedger {
    if (this.ledgerFile === '') return newLedger();
    const read = parseLedger('web', this.ledgerFile);
    if (!read.ok) throw new Error(read.detail);
    return read.value;
  }

  stateOf({ vmid: id }: Box): string | undefined {
    return this.ledger().members.get(id)?.state;
  }

  /** One look: reconcile, save, begin. */
  look(health: Readonly<Record<number, boolean>> = {}, wish?: GroupWish): GroupPlan {
    for (const [id, memory] of this.state.members) {
      if (health[id] !== undefined) memory.unhealthy = !health[id];
    }
    const ledger = this.ledger();
    const plan = reconcile({ ...this.#input(), ledger, wish });
    this.#save();
    this.ledgerFile = ledgerText('web', ledger);
    for (const step of plan.steps) this.#begin(step);
    return plan;
  }

  /** The next phase of one step under way. */
  proceed(index: number, fails: 'no' | 'failed' | 'broken' | 'taken' | 'overtaken' = 'no'): void {
    const work = this.work[index % Math.max(1, this.work.length)];
    if (work === undefined) return;
    const drop = () => this.work.splice(this.work.indexOf(work), 1);
    if (fails === 'broken' || fails === 'taken' || fails === 'overtaken') {
      drop();
      this.#end(work, { kind: fails, message: fails });
      return;
    }
    if (fails === 'failed') {
      drop();
      // A pct clone that fails takes back what it has begun.
      if (work.step.kind === 'clone' && work.phases.length < CLONE_PHASES) {
        this.boxes.delete(work.step.vmid);
        this.#unlockSource();
      }
      this.#end(work, { kind: 'failed', message: 'no space left' });
      return;
    }
    work.phases.shift()?.();
    if (work.phases.length > 0) return;
    drop();
    this.#end(work, { kind: 'done' });
  }

  /** The daemon dies and comes back; what it began goes on, or dies with it. */
  crash(what: 'daemon' | 'power'): void {
    for (const work of this.work) work.heard = false;
    if (what === 'power') {
      this.work.splice(0);
      this.boot += 'x';
      this.nowMs = 5_000;
      for (const box of this.boxes.values()) {
        box.running = box.vmid === SOURCE || (box.onboot && this.stateOf(box) === 'serving');
      }
    }
    const saved = this.#saved === undefined ? undefined : JSON.parse(this.#saved);
    const read = saved === undefined ? undefined : fromSavedGroups(saved, this.boot);
    this.state = (read?.ok ? read.value.get('web') : undefined) ?? newGroupState();
  }

  /** Looks and works until nothing changes any more, and lets much time pass in between. */
  quiet(rounds = 80): void {
    for (let round = 0; round < rounds; round += 1) {
      this.nowMs += 30_000;
      this.look();
      while (this.work.length > 0) this.proceed(0);
    }
  }

  #save(): void {
    this.#saved = JSON.stringify(toSavedGroups(new Map([['web', this.state]]), this.boot));
  }

  #end(work: Work, outcome: StepOutcome): void {
    if (!work.heard) return;
    const ledger = this.ledger();
    const entry = outcome.kind === 'done' ? entryAfter(ledger, work.step) : undefined;
    if (entry !== undefined) {
      ledger.members.set(entry.vmid, entry);
      this.ledgerFile = ledgerText('web', ledger);
    }
    applyOutcome(this.state, work.step, outcome, milliseconds(this.nowMs));
  }

  #unlockSource(): void {
    const source = this.box(SOURCE);
    if (source.lock === 'disk') source.lock = undefined;
  }

  #input(): GroupInput {
    const guests = [...this.boxes.values()].map(
      (box) => [box.vmid, present(guestOf(box))] as const,
    );
    const running = [...this.boxes.values()].filter((box) => box.running).length;
    const lives = new Map<Vmid, MemberLife>();
    for (const box of this.boxes.values()) {
      const share = ratio(this.load / Math.max(1, running - 1));
      lives.set(box.vmid, {
        running: box.running,
        ...(this.frozen.has(box.vmid)
          ? { frozen: true, load: missing('frozen', 'it is frozen') }
          : { load: present({ cpu: share, memory: ratio(0.5) }) }),
        atLimit: { cpu: true, memory: true },
      });
    }
    const used = [...this.boxes.values()].flatMap((box) => addressesOf(box));
    return {
      policy: this.policy,
      view: {
        cluster: {
          node: 'pve1',
          guests: new Map(guests),
          nodeOf: new Map(),
          takenIds: new Set([...this.boxes.keys(), ...this.foreignIds]),
          usedAddresses: present(new Set(used)),
          storageTypes: this.storageTypes,
        },
        lives,
        hostHeadroomMib: present(this.hostHeadroomMib),
        cloneRuns: (pid) =>
          pid === undefined ? this.unseenEnd : this.work.some((work) => work.pid === pid),
      },
      state: this.state,
      ledger: newLedger(),
      nonce: this.#newNonce(),
      sources: this.sources,
      now: {
        ms: milliseconds(this.nowMs),
        wallS: 1_795_000_000 + Math.floor(this.nowMs / 1000) + this.boot.length * 10_000_000,
        boot: this.boot,
      },
      busy: new Set(this.work.filter(({ heard }) => heard).flatMap(({ step }) => subjectsOf(step))),
      reserved: { ids: new Set(), addresses: new Set() },
    };
  }

  #newNonce(): string {
    this.#nonce += 1;
    return this.#nonce.toString(16).padStart(4, '0').repeat(8);
  }

  #newAddress(): string {
    const [first = '', second = ''] = this.#newNonce().match(/../g) ?? [];
    return `BC:24:11:01:${first}:${second}`;
  }

  #begin(step: Step): void {
    this.seen.push(step);
    this.#pid += 1;
    const pid = this.#pid;
    this.work.push({ step, heard: true, pid, phases: this.#phases(step) });
    if (step.kind !== 'clone' || this.state.reservation === undefined) return;
    this.state.reservation.begun = true;
    this.state.reservation.pid = pid;
    this.#save();
  }

  #change(id: number, change: (box: Box) => void): void {
    const box = this.boxes.get(vmid(id));
    if (box === undefined) return;
    change(box);
    this.#version += 1;
    box.version = this.#version;
  }

  #phases(step: Step): (() => void)[] {
    const { vmid: id } = step;
    if (this.idle.has(step.kind)) return [() => {}];
    switch (step.kind) {
      case 'snapshot':
        return this.#cutable(id, step.name, 'snapshot', (box) =>
          box.snapshots.set(step.name, box.snapshots.get(step.name) ?? `${this.nowMs}`),
        );
      case 'delete-snapshot': {
        const phases = this.#cutable(id, step.name, 'snapshot-delete', () => {});
        const gone = () => this.#change(id, (box) => box.snapshots.delete(step.name));
        return [...phases, gone];
      }
      case 'clone':
        return this.#clonePhases(step);
      case 'configure':
        return [
          () =>
            this.#change(id, (box) => {
              box.tags = (step.set.get('tags') ?? '').split(';');
              box.description = (step.set.get('description') ?? '').split('\n');
              box.net0 = step.set.get('net0') ?? '';
              if (step.remove.includes('protection')) box.protection = false;
            }),
        ];
      case 'start':
        return [
          () => this.#change(id, (box) => Object.assign(box, { running: true, onboot: true })),
        ];
      case 'admit':
        return [() => {}, () => {}];
      case 'mark':
        return [() => {}];
      case 'take-out':
        return [
          () => this.#change(id, (box) => Object.assign(box, { onboot: false })),
          () => this.#change(id, (box) => Object.assign(box, { running: false })),
        ];
      case 'destroy':
        return [() => this.boxes.delete(id)];
      case 'discard':
        return [
          () => this.#change(id, (box) => Object.assign(box, { lock: undefined })),
          () => this.boxes.delete(id),
        ];
      case 'unlock-source':
        return [() => this.#change(id, (box) => Object.assign(box, { lock: undefined }))];
    }
  }

  /** Prepares, works, and takes the lock off again. */
  #cutable(id: number, name: string, lock: string, work: (box: Box) => void): (() => void)[] {
    const prepare = (box: Box): void => {
      work(box);
      box.unfinished.add(name);
      box.lock = lock;
    };
    const commit = (box: Box): void => {
      box.unfinished.delete(name);
      box.lock = undefined;
    };
    return [() => this.#change(id, prepare), () => this.#change(id, commit)];
  }

  #clonePhases(step: Step & { kind: 'clone' }): (() => void)[] {
    const source = this.box(SOURCE);
    const { protection } = source;
    const bare = (): void => {
      source.lock = 'disk';
      this.boxes.set(step.vmid, {
        vmid: step.vmid,
        running: false,
        lock: 'create',
        tags: [],
        description: [],
        net0: '',
        rootfs: undefined,
        protection: false,
        onboot: false,
        snapshots: new Map(),
        version: 0,
        unfinished: new Set(),
      });
    };
    const begin = (): void =>
      this.#change(step.vmid, (box) => {
        box.tags = source.tags;
        box.description = step.description.split('\n');
        box.net0 = source.net0.replace(/hwaddr=[^,]*/, `hwaddr=${this.#newAddress()}`);
        Object.assign(box, { protection, onboot: source.onboot });
      });
    const end = (): void => {
      const rootfs = `local-lvm:vm-${step.vmid}-disk-0`;
      this.#change(step.vmid, (box) => Object.assign(box, { lock: undefined, rootfs }));
      this.#unlockSource();
    };
    return [bare, begin, end];
  }
}

const addressesOf = (box: Box): string[] => {
  const own = addressOf(box);
  return own === undefined ? [] : [own];
};

export const addressOf = (box: Box): string | undefined => /ip=([0-9.]+)/.exec(box.net0)?.[1];

function guestOf(box: Box): GroupGuest {
  const nets = box.net0 === '' ? [] : [box.net0];
  const identity = guestIdentity(box.rootfs, nets);
  const config = guestConfig(box.vmid, { lock: box.lock, tags: box.tags, identity });
  const snapshots = [...box.snapshots].map(([name, snaptime]) => {
    return [name, { snaptime, unfinished: box.unfinished.has(name) }] as const;
  });
  return {
    vmid: box.vmid,
    config,
    node: 'pve1',
    hostname: config.name,
    tags: box.tags,
    lock: box.lock,
    template: false,
    digest: `${box.version}`,
    memoryMib: mib(512),
    description: box.description,
    protection: box.protection,
    nets: new Map(nets.map((net) => ['net0', net])),
    snapshots: new Map(snapshots),
    settings: new Map([['memory', '512']]),
    disk: { storage: 'local-lvm', mib: 4096 },
    storages: ['local-lvm'],
  };
}
