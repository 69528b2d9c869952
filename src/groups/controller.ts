import type { GroupInput, GroupWish, Note } from '../core/groups/draft.ts';
import type { GroupPolicy } from '../core/groups/group-policy.ts';
import { type GroupState, newGroupState, noteHealth } from '../core/groups/group-state.ts';
import type { ClusterView, GroupView, MemberLife } from '../core/groups/group-view.ts';
import { type GroupLedger, ledgerText, newLedger } from '../core/groups/ledger.ts';
import type { Member } from '../core/groups/members.ts';
import { applyOutcome, entryAfter, type StepOutcome } from '../core/groups/outcome.ts';
import { type GroupPlan, reconcile } from '../core/groups/reconcile.ts';
import { type Step, stepKey, subjectsOf } from '../core/groups/step.ts';
import type { WishAnswer } from '../core/groups/wish.ts';
import { pauseAfter } from '../core/pause.ts';
import type { Milliseconds, Vmid } from '../core/units.ts';
import type { ActingGroupWorld } from '../ports.ts';
import { logAsked, logBegun, logEnded, logNotes, logProgress, logWould } from './log-groups.ts';
import { addressOf, carryOutStep } from './steps.ts';
import {
  comingMib,
  type GroupSettings,
  hostRoom,
  type Ledgers,
  Lives,
  runningLimits,
} from './view.ts';

export interface GroupsParts {
  readonly world: ActingGroupWorld;
  readonly settings: () => GroupSettings;
  /** Filled from what a former process left. */
  readonly states: Map<string, GroupState>;
  /** Returns what went wrong; then nothing is begun that a crash could make forgotten. */
  readonly save: () => string | undefined;
  readonly boot: string;
  /** Where the states are saved, for people. */
  readonly stateFile: string;
  /** 32 random hex digits. */
  readonly nonce: () => string;
  /** A step has ended, or a check: it is time to look again. */
  readonly wake: () => void;
}

/** What of a group a person may ask for. */
export interface GroupStanding {
  readonly policy: GroupPolicy;
  readonly plan: GroupPlan;
  readonly state: GroupState;
  /** Steps under way. */
  readonly busy: readonly Step[];
}

/** What is asked of one group, in the look that is under way. */
interface AskedOfGroup {
  readonly label: string;
  readonly wish: GroupWish;
  /** It is only to be said what would come of it. */
  readonly dryRun: boolean;
  answer: WishAnswer | undefined;
}

const STOPPING = 'the program is about to stop';
const UNRECORDED = 'what is to be done could not be written down; the log says more';

/** A ledger after a look, and its text before. */
interface Keeping {
  readonly policy: GroupPolicy;
  readonly state: GroupState;
  readonly ledger: GroupLedger;
  readonly before: string;
  readonly dryRun: boolean;
}

interface Running {
  readonly policy: GroupPolicy;
  readonly step: Step;
  readonly sinceMs: Milliseconds;
  saidMs: Milliseconds;
  lastLine: () => string;
}

const ledgerRemedy = (stateFile: string): string =>
  `to begin with an empty one, stop the service, remove that file and ${stateFile}, ` +
  'and start it; clones made so far are then ignored';

const PROGRESS_EVERY_MS = 60_000;

/**
 * Groups beside the loop: each look compares what is there with what is wanted, and begins what can
 * be done now. Steps take seconds to an hour, and nothing waits for them here: their end is taken
 * in when it comes. What is under way when the program ends is left to finish, and found again.
 */
export class Groups {
  readonly #parts: GroupsParts;
  readonly #lives = new Lives();
  readonly #running = new Set<Running>();
  readonly #checking = new Set<Vmid>();
  readonly #said = new Map<string, Set<string>>();
  readonly #would = new Set<string>();
  readonly #standings = new Map<string, GroupStanding>();
  /** Why a group is not worked on here now, by label. */
  readonly #aside = new Map<string, string>();
  #asked: AskedOfGroup | undefined;
  #saved = '';
  #unrecordable = false;
  #stopped = false;
  #comingMib = 0;
  /** Looks, and what follows the end of a step, come one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: GroupsParts) {
    this.#parts = parts;
  }

  /** One look at all groups. It waits for no command: what it begins goes on by itself. */
  look(): Promise<void> {
    return this.#inTurn(() => this.#look());
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  async #look(): Promise<void> {
    if (this.#stopped) return;
    const { world, settings } = this.#parts;
    const current = settings();
    if (current.policies.length === 0) {
      this.#comingMib = 0;
      return;
    }
    await world.cluster.look?.();
    const cluster = world.cluster.read();
    if (!cluster.ok) {
      for (const policy of current.policies) {
        const text = `the containers cannot be seen, so nothing is done: ${cluster.detail}`;
        this.#leave(policy, { key: 'blind', level: 'warn', text });
      }
      return;
    }
    const nowMs = world.clock.monotonicMs();
    const pause = pauseAfter(undefined, world.cluster.quorum(), nowMs, world.notOurs?.());
    if (pause !== undefined) {
      const text = `nothing is done: ${pause.why}`;
      for (const policy of current.policies) {
        this.#leave(policy, { key: 'paused', level: 'warn', text });
      }
      return;
    }
    const owned = current.policies.filter((policy) =>
      this.#owns(policy, cluster.value, current.dryRun),
    );
    if (owned.length === 0) {
      this.#comingMib = 0;
      return;
    }
    const ledgers = this.#readLedgers(owned);
    const seen = owned.filter(({ label }) => ledgers.has(label));
    if (seen.length === 0) {
      this.#comingMib = 0;
      return;
    }
    const host = world.host.observe();
    const lives = this.#lives.look(world, current, cluster.value, ledgers, host);
    const making = seen.flatMap(({ label, source }) => {
      const ledger = ledgers.get(label);
      return ledger === undefined ? [] : [{ source, ledger }];
    });
    const coming = (): number => comingMib(cluster.value, lives, making);
    const limitsMib = runningLimits(cluster.value, world, current.headroom());
    const takenMib = coming() + (current.othersMib?.() ?? 0);
    const hostHeadroomMib = hostRoom(takenMib, limitsMib, host, current);
    const cloneRuns: GroupView['cloneRuns'] = (pid) => world.eyes.isAlive(pid);
    const view: GroupView = { cluster: cluster.value, lives, hostHeadroomMib, cloneRuns };
    for (const policy of seen) await this.#lookAt(policy, view, current, ledgers);
    this.#comingMib = coming();
    this.#logProgress();
  }

  /** What members on their way will have of the host's memory: it is given to nobody else. */
  get comingMib(): number {
    return this.#comingMib;
  }

  /** Of those groups whose ledger can be read: without it nobody knows who is a member. */
  #readLedgers(policies: readonly GroupPolicy[]): Map<string, GroupLedger> {
    const { world, states } = this.#parts;
    const ledgers = new Map<string, GroupLedger>();
    for (const policy of policies) {
      const { label } = policy;
      const reading = world.ledgers.read(label);
      const isNew = !reading.ok && reading.why === 'absent' && states.get(label)?.ledgered !== true;
      if (reading.ok) ledgers.set(label, reading.value);
      else if (isNew) ledgers.set(label, newLedger());
      else {
        const text = `its members are not known, so nothing is done: ${reading.detail}`;
        const remedy = ledgerRemedy(this.#parts.stateFile);
        this.#leave(policy, { key: 'ledger', level: 'warn', text: `${text}; ${remedy}` });
      }
    }
    return ledgers;
  }

  /**
   * Has a group make or take away a member by the rules that hold for its load. What cannot be had
   * now is not begun.
   *
   * @param dryRun nothing is done; what would come of it is said
   */
  ask(label: string, wish: GroupWish, dryRun: boolean): Promise<WishAnswer> {
    return this.#inTurn(async (): Promise<WishAnswer> => {
      if (this.#stopped) return { ok: false, why: STOPPING };
      const asked: AskedOfGroup = { label, wish, dryRun, answer: undefined };
      this.#asked = asked;
      try {
        await this.#look();
      } finally {
        this.#asked = undefined;
      }
      return asked.answer ?? { ok: false, why: this.#aside.get(label) ?? 'it is not known yet' };
    });
  }

  /** Begins nothing more. */
  stop(): void {
    this.#stopped = true;
  }

  get standings(): readonly GroupStanding[] {
    return [...this.#standings.values()];
  }

  /** How many steps are under way. */
  get busy(): number {
    return this.#running.size;
  }

  /**
   * A group belongs to the node that its source is on, since only there it can be cloned. Beyond
   * that the lease decides. A dry run writes nothing, not even a lease.
   */
  #owns(policy: GroupPolicy, { node, nodeOf }: ClusterView, dryRun: boolean): boolean {
    const where = nodeOf.get(policy.source);
    if (where !== undefined && where !== node) {
      const text = `its source ${policy.source} is on the node ${where}, so it is worked on there`;
      this.#leave(policy, { key: 'node', level: 'info', text });
      this.#parts.world.leases.release(policy.label);
      return false;
    }
    if (dryRun) return true;
    const answer = this.#parts.world.leases.hold(policy.label);
    if (answer.kind === 'held') return true;
    const text =
      answer.kind === 'elsewhere'
        ? 'another daemon of the cluster works on it, so nothing is done here'
        : `whether another daemon works on it is not known: ${answer.message}`;
    const level = answer.kind === 'failed' ? 'warn' : 'info';
    this.#leave(policy, { key: 'lease', level, text });
    return false;
  }

  /** A group that nothing is done for now. */
  #leave(policy: GroupPolicy, note: Note): void {
    this.#aside.set(policy.label, note.text);
    this.#note(policy, [note]);
  }

  #note(policy: GroupPolicy, notes: readonly Note[]): void {
    const said = this.#said.get(policy.label) ?? new Set();
    this.#said.set(policy.label, said);
    logNotes(this.#parts.world, policy, notes, said);
  }

  async #lookAt(
    policy: GroupPolicy,
    view: GroupView,
    settings: GroupSettings,
    ledgers: Ledgers,
  ): Promise<void> {
    const { world, states, boot } = this.#parts;
    const { clock } = world;
    const kept = states.get(policy.label) ?? newGroupState();
    states.set(policy.label, kept);
    const state = settings.dryRun ? structuredClone(kept) : kept;
    const busy = new Set([...this.#running].flatMap(({ step }) => subjectsOf(step)));
    const now = { ms: clock.monotonicMs(), wallS: Math.floor(clock.wallMs() / 1000), boot };
    const reserved = this.#reservedByOthers(policy, ledgers);
    const read = ledgers.get(policy.label) ?? newLedger();
    const ledger = settings.dryRun ? structuredClone(read) : read;
    const before = ledgerText(policy.label, ledger);
    const sources = new Set(settings.policies.map(({ source }) => source));
    const nonce = this.#parts.nonce();
    const input = { policy, view, state, ledger, nonce, sources, now, busy, reserved };
    const granted = this.#granted(input);
    this.#aside.delete(policy.label);
    const wanted = state.desired;
    const plan = reconcile({ ...input, wish: granted?.wish });
    const mayBegin = settings.dryRun || this.#isSaved(plan);
    const keeping = { policy, state, ledger, before, dryRun: settings.dryRun };
    const unkept = mayBegin ? await this.#keep(keeping) : [];
    this.#note(policy, [...plan.notes, ...unkept]);
    const under = [...this.#running].filter((one) => one.policy.label === policy.label);
    const steps = under.map(({ step }) => step);
    this.#standings.set(policy.label, { policy, plan, state, busy: steps });
    if (settings.dryRun) {
      this.#rehearse(policy, kept, state, plan);
      return;
    }
    this.#checkHealth(policy, state, plan.members);
    if (!mayBegin || unkept.length > 0 || !this.#isRecordable(plan)) {
      if (granted === undefined) return;
      state.desired = wanted;
      granted.answer = { ok: false, why: UNRECORDED };
      return;
    }
    if (granted?.answer?.ok) logAsked(world, policy, granted.wish, granted.answer);
    if (this.#stopped) return;
    for (const step of plan.steps) this.#begin(policy, state, step, sources);
  }

  /** What is asked of this group, if it can be had: that is tried first on copies. */
  #granted(input: GroupInput): AskedOfGroup | undefined {
    const asked = this.#asked;
    if (asked?.label !== input.policy.label) return undefined;
    const copies = structuredClone({ state: input.state, ledger: input.ledger });
    asked.answer = reconcile({ ...input, ...copies, wish: asked.wish }).answer;
    return asked.answer?.ok === true && !asked.dryRun ? asked : undefined;
  }

  #reservedByOthers(policy: GroupPolicy, ledgers: Ledgers): GroupInput['reserved'] {
    const ids = new Set<Vmid>();
    const addresses = new Set<string>();
    for (const [label, { reservation }] of this.#parts.states) {
      if (label === policy.label || reservation === undefined) continue;
      ids.add(reservation.vmid);
      if (reservation.address !== undefined) addresses.add(reservation.address);
    }
    for (const [label, { members }] of ledgers) {
      if (label === policy.label) continue;
      for (const { vmid, address } of members.values()) {
        ids.add(vmid);
        if (address !== undefined) addresses.add(address);
      }
    }
    return { ids, addresses };
  }

  /** A dry run keeps its timers, and forgets what it would have begun. */
  #rehearse(policy: GroupPolicy, kept: GroupState, state: GroupState, plan: GroupPlan): void {
    kept.desired ??= state.desired;
    kept.aboveSinceMs ??= state.aboveSinceMs;
    kept.belowSinceMs ??= state.belowSinceMs;
    for (const [vmid, memory] of state.members) kept.members.set(vmid, memory);
    for (const step of plan.steps) {
      const key = `${policy.label}/${stepKey(step)}`;
      if (this.#would.has(key)) continue;
      this.#would.add(key);
      logWould(this.#parts.world, policy, state, step);
    }
  }

  /** Written down before it is begun, if it has changed: what a crash must not lose. */
  #isSaved(plan: GroupPlan): boolean {
    const { states, save, world } = this.#parts;
    const now = JSON.stringify(
      [...states].map(([label, { reservation, ...state }]) => [
        label,
        state.desired,
        state.changedMs,
        state.snapshot,
        state.snapshotBoot,
        state.snapshotMs,
        reservation?.nonce,
        reservation?.pid,
        reservation?.ended,
      ]),
    );
    if (now === this.#saved) return true;
    const problem = save();
    if (problem === undefined) {
      this.#saved = now;
      return true;
    }
    if (plan.steps.length > 0) world.log.error(`${problem}; so groups begin nothing`);
    return false;
  }

  /** Who is a member is written down, and read back, before anything is begun. */
  async #keep({ policy, state, ledger, before, dryRun }: Keeping): Promise<readonly Note[]> {
    const { label } = policy;
    if (dryRun || ledgerText(label, ledger) === before) return [];
    let problem = await this.#parts.world.ledgers.write(label, ledger);
    if (problem === undefined && !state.ledgered) {
      state.ledgered = true;
      problem = this.#parts.save();
    }
    if (problem === undefined) return [];
    return [{ key: 'unkept', level: 'warn', text: `${problem}; so nothing is begun` }];
  }

  /** A step that could not be recorded is not begun, which is said once. */
  #isRecordable({ steps }: GroupPlan): boolean {
    if (steps.length === 0) return true;
    const { journal, log } = this.#parts.world;
    const problem = journal.problem?.();
    const what = 'Groups begin nothing, since it could not be recorded';
    if (problem !== undefined && !this.#unrecordable) log.error(`${what}: ${problem}`);
    this.#unrecordable = problem !== undefined;
    return problem === undefined;
  }

  #begin(policy: GroupPolicy, state: GroupState, step: Step, sources: ReadonlySet<Vmid>): void {
    const { world } = this.#parts;
    const nowMs = world.clock.monotonicMs();
    const running: Running = {
      policy,
      step,
      sinceMs: nowMs,
      saidMs: nowMs,
      lastLine: () => '',
    };
    this.#running.add(running);
    logBegun(world, policy, step);
    const onStart = (pid: number, lastLine: () => string): void => {
      running.lastLine = lastLine;
      if (step.kind !== 'clone' || state.reservation?.vmid !== step.vmid) return;
      state.reservation.pid = pid;
      this.#parts.save();
    };
    const timeLimitMs = step.kind === 'clone' ? policy.cloneTimeoutMs : undefined;
    const watch = { onStart, ...(timeLimitMs !== undefined && { timeLimitMs }) };
    const ended = async (reported: StepOutcome): Promise<void> => {
      const outcome = await this.#withEntry(policy, step, reported);
      this.#running.delete(running);
      applyOutcome(state, step, outcome, world.clock.monotonicMs());
      logEnded(world, policy, state, step, outcome);
      this.#parts.wake();
    };
    const beforeClone = (): string | undefined => {
      if (state.reservation !== undefined) state.reservation.begun = true;
      return this.#parts.save();
    };
    const carriedOut = carryOutStep({ world, policy, sources, watch, beforeClone }, step);
    const told = carriedOut.catch((error: unknown): StepOutcome => {
      const message = error instanceof Error ? error.message : String(error);
      return { kind: 'broken', message };
    });
    void told.then((outcome) => this.#inTurn(() => ended(outcome)));
  }

  /** A step counts as done only when the ledger has what came of it. */
  async #withEntry({ label }: GroupPolicy, step: Step, outcome: StepOutcome): Promise<StepOutcome> {
    if (outcome.kind !== 'done') return outcome;
    const { ledgers } = this.#parts.world;
    const ledger = ledgers.read(label);
    if (!ledger.ok) {
      return ledger.why === 'absent' ? outcome : { kind: 'failed', message: ledger.detail };
    }
    const entry = entryAfter(ledger.value, step);
    if (entry === undefined) return outcome;
    ledger.value.members.set(step.vmid, entry);
    const problem = await ledgers.write(label, ledger.value);
    return problem === undefined ? outcome : { kind: 'failed', message: problem };
  }

  /** Each member on its way into service or in it is asked once a look; nobody waits for it. */
  #checkHealth(policy: GroupPolicy, state: GroupState, members: readonly Member[]): void {
    const { world, wake } = this.#parts;
    const { health } = policy;
    if (health.kind === 'none') return;
    for (const { guest, role, life } of members) {
      const { vmid } = guest;
      if (!isAsked(role, life) || this.#checking.has(vmid)) continue;
      this.#checking.add(vmid);
      const ask = async (): Promise<string | undefined> => {
        const address = await addressOf({ world }, vmid);
        if (!address.ok) return `its address is not known: ${address.detail}`;
        return world.probe.check(address.value, health);
      };
      const told = (complaint: string | undefined): void => {
        this.#checking.delete(vmid);
        const memory = state.members.get(vmid);
        if (memory !== undefined) noteHealth(memory, health, complaint);
        if (role === 'new' && memory?.passed === health.healthyCount) wake();
      };
      ask().then(told, (error: unknown) => told(String(error)));
    }
  }

  #logProgress(): void {
    const { world } = this.#parts;
    const nowMs = world.clock.monotonicMs();
    for (const running of this.#running) {
      if (nowMs - running.saidMs < PROGRESS_EVERY_MS) continue;
      running.saidMs = nowMs;
      const { policy, step, sinceMs, lastLine } = running;
      logProgress(world, policy, step, nowMs - sinceMs, lastLine());
    }
  }
}

const isAsked = (role: Member['role'], { running, frozen }: MemberLife): boolean =>
  running === true &&
  frozen !== true &&
  (role === 'new' || role === 'serving' || role === 'unhealthy');
