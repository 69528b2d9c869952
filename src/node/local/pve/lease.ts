import { mkdirSync, renameSync, rmdirSync, rmSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path/posix';
import { makeDirectories, refuseLink } from '../../../os/directories.ts';
import { temporaryName, writeDurably } from '../../../os/durable-file.ts';
import { describeError, errorCode } from '../../../os/os-error.ts';
import { readRegularFile } from '../../../os/regular-file.ts';
import type { Clock, LeaseAnswer, Leases } from '../../port.ts';
import type { Paths } from '../paths.ts';

/**
 * Which daemon of the cluster works on a group: a directory under `/etc/pve/priv/lock`, where the
 * cluster's own locks are. Making a directory there is atomic over all nodes. Its time is the sign
 * of life: whoever holds it moves the time on, and one that stands still for two minutes is stale.
 */

/** As the cluster file system has it for its own locks. */
const STALE_MS = 120_000;
/** Each renewal is a write to the database of the cluster. */
const RENEW_S = 20;
const LOCKS = 'priv/lock';
/** What this node has written last, so that a restart finds its own lease again at once. */
const OWN = '/var/lib/lxc_autoscale/leases';

/** Stands first where a lease is about to be made, in the place of the time it had before. */
const CLAIM = 0;

export interface LeaseOptions {
  readonly paths: Paths;
  readonly clock: Clock;
}

interface Sighting {
  readonly timeS: number;
  readonly firstSeenMs: number;
}

export function createLeases(options: LeaseOptions): Leases {
  return new ClusterLeases(options);
}

class ClusterLeases implements Leases {
  readonly #paths: Paths;
  readonly #clock: Clock;
  readonly #own = new Map<string, number>();
  readonly #seen = new Map<string, Sighting>();
  /** Taken over from another: counts only when nobody else did the same at the same moment. */
  readonly #unproven = new Set<string>();

  constructor({ paths, clock }: LeaseOptions) {
    this.#paths = paths;
    this.#clock = clock;
  }

  hold(group: string): LeaseAnswer {
    try {
      return this.#hold(group);
    } catch (error) {
      return { kind: 'failed', message: `${this.#path(group)}: ${describeError(error)}` };
    }
  }

  release(group: string): void {
    if (!this.#own.has(group)) return;
    this.#own.delete(group);
    try {
      rmdirSync(this.#path(group));
    } catch {
      // It becomes stale by itself.
    }
  }

  #hold(group: string): LeaseAnswer {
    const timeS = this.#timeOf(group);
    if (timeS === undefined) return this.#take(group);
    const noted = this.#own.has(group) ? undefined : this.#noted(group);
    const mine = noted?.times.includes(timeS) ?? this.#own.get(group) === timeS;
    if (mine) {
      // Somebody else may have made it in the same second: it has to prove itself first.
      if (noted?.isClaim === true) this.#unproven.add(group);
      const proven = !this.#unproven.delete(group);
      const ageS = Math.floor(this.#clock.wallMs() / 1000) - timeS;
      if (!proven || ageS < 0 || ageS >= RENEW_S) this.#renew(group);
      return proven ? { kind: 'held' } : { kind: 'elsewhere' };
    }
    this.#own.delete(group);
    this.#unproven.delete(group);
    const nowMs = this.#clock.monotonicMs();
    const seen = this.#seen.get(group);
    if (seen?.timeS !== timeS) {
      this.#seen.set(group, { timeS, firstSeenMs: nowMs });
      return { kind: 'elsewhere' };
    }
    // By our own clock: those of the nodes may differ.
    if (nowMs - seen.firstSeenMs < STALE_MS) return { kind: 'elsewhere' };
    this.#takeOver(group, timeS);
    return { kind: 'elsewhere' };
  }

  #take(group: string): LeaseAnswer {
    makeDirectories(join(this.#paths.pveDir, LOCKS), 0o700);
    const nowS = Math.floor(this.#clock.wallMs() / 1000);
    // It has the time of its making, which a crash must not make that of a stranger.
    this.#note(group, [CLAIM, nowS, nowS + 1]);
    try {
      mkdirSync(this.#path(group), { mode: 0o700 });
    } catch (error) {
      rmSync(join(this.#paths.at(OWN), group), { force: true });
      if (errorCode(error) === 'EEXIST') return { kind: 'elsewhere' };
      throw error;
    }
    this.#renew(group);
    return { kind: 'held' };
  }

  /**
   * The cluster file system removes a stale lock when it is asked to by a time of 0. On any other
   * it is moved aside: of two who try one fails, and who moved a fresh one away finds it gone.
   */
  #takeOver(group: string, staleS: number): void {
    const path = this.#path(group);
    utimesSync(path, 0, 0);
    if (this.#timeOf(group) === 0) {
      const aside = `${path}.stale-${staleS}`;
      renameSync(path, aside);
      rmdirSync(aside);
    }
    this.#seen.delete(group);
    if (this.#take(group).kind === 'held') this.#unproven.add(group);
  }

  /** The time is written down here before it is set there, so that a crash in between is ours. */
  #renew(group: string): void {
    const before = this.#timeOf(group);
    const nowS = Math.floor(this.#clock.wallMs() / 1000);
    const timeS = before !== undefined && nowS <= before ? before + 1 : nowS;
    this.#note(group, before === undefined ? [timeS] : [before, timeS]);
    utimesSync(this.#path(group), timeS, timeS);
    this.#own.set(group, timeS);
  }

  /** Whole or as before: without it the next life would wait for its own lease to become stale. */
  #note(group: string, times: readonly number[]): void {
    const own = this.#paths.at(OWN);
    makeDirectories(own, 0o700);
    refuseLink(own);
    rmSync(join(own, temporaryName(group)), { force: true });
    writeDurably(own, group, Buffer.from(`${times.join(' ')}\n`));
  }

  /** What the life before this one has written down. */
  #noted(group: string): { readonly times: readonly number[]; readonly isClaim: boolean } {
    const file = readRegularFile(join(this.#paths.at(OWN), group), 4096);
    const words = file.ok ? file.value.toString('latin1').trim().split(' ').map(Number) : [];
    return { times: words.filter((time) => time > 0), isClaim: words[0] === CLAIM };
  }

  #path(group: string): string {
    return join(this.#paths.pveDir, LOCKS, `lxc-autoscale-${group}`);
  }

  /** In seconds, which is all that the cluster file system keeps; undefined: it is not there. */
  #timeOf(group: string): number | undefined {
    const stat = statSync(this.#path(group), { throwIfNoEntry: false });
    return stat === undefined ? undefined : Math.floor(stat.mtimeMs / 1000);
  }
}
