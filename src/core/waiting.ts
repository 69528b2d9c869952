import type { HoldReason } from './decision.ts';
import type { Waited } from './guest-record.ts';
import type { CpuUsage } from './observation.ts';
import type { Verdict } from './policies/threshold.ts';
import { type Milliseconds, type Ratio, ratio } from './units.ts';

/**
 * Tasks that wait for a CPU inside the band. Proxmox VE deals CPUs out by the number of containers,
 * not by their load: two busy ones can share one CPU, each with half of it, while others idle. One
 * more core leads out of that. A CPU limit inside of the container, of Docker say, looks the same
 * and is not cured by it: so what has not made the waiting less is given back, and not tried again
 * for an hour, then two, up to a day.
 *
 * | in use of | tasks wait | host busy | becomes                                   |
 * | --------- | ---------- | --------- | ----------------------------------------- |
 * | 0.5 of 1  | 50 %       | 30 %      | 2                                         |
 * | 0.5 of 1  | 30 %       | 30 %      | 1: a little waiting is normal             |
 * | 0.5 of 1  | 50 %       | 90 %      | 1: the host has no idle CPUs              |
 * | 0.1 of 1  | 90 %       | 30 %      | 1: below the band, more is no help        |
 */

/** In this share of the time some task waits. */
const WAITS_SHARE = 0.4;
/** More of the host's CPUs must be idle than this leaves. */
const HOST_BUSY = 0.8;
/** Over less time than this it is a moment's. */
const LEAST_OVER_MS = 10_000;
/** It has helped, where at most this share of the waiting is left. */
const HELPED_SHARE = 0.75;
/** `pvestatd` has dealt out the cores, and a cycle has seen it. */
const SETTLED_MS = 60_000;
/** What is so long ago says nothing of the waiting of now. */
const TRIED_MS = 1_800_000;

export interface Waiting {
  readonly cpu: CpuUsage;
  /** One step up. */
  readonly step: number;
  /** How busy the host's CPUs are; undefined if that is not known. */
  readonly hostBusy: Ratio | undefined;
  readonly waited: Waited | undefined;
  readonly nowMs: Milliseconds;
}

/** A verdict on cores, with the waiting of its tasks taken into account. */
export function withWaiting(verdict: Verdict, given: Waiting): Verdict {
  const { cpu, waited, nowMs } = given;
  const { pressure } = cpu;
  if (verdict.verdict !== 'hold' || pressure === undefined) return verdict;
  const { before, need, max } = verdict.measured;
  const sinceMs = nowMs - (waited?.atMs ?? Number.NEGATIVE_INFINITY);
  const isTrial = waited !== undefined && waited.after === before && sinceMs <= TRIED_MS;
  if (isTrial && sinceMs >= SETTLED_MS && pressure > waited.share * HELPED_SHARE) {
    const after = Math.max(waited.before, need);
    if (after >= before) return verdict;
    const measured = { ...verdict.measured, waits: pressure };
    return { verdict: 'shrink', after, rule: 'waiting-undone', limits: [], measured };
  }
  if (!IN_BAND.has(verdict.because.kind) || !isWaiting(given)) return verdict;
  if (isTrial && sinceMs < SETTLED_MS) return verdict;
  if (waited?.retryAtMs !== undefined && waited.retryAtMs > nowMs) return verdict;
  const after = Math.min(max, before + given.step);
  const measured = { ...verdict.measured, waits: pressure };
  if (after <= before) return { verdict: 'hold', because: { kind: 'at-maximum' }, measured };
  return { verdict: 'grow', after, rule: 'waiting', limits: [], measured };
}

const IN_BAND: ReadonlySet<HoldReason['kind']> = new Set(['in-band', 'learnt']);

const isWaiting = ({ cpu, hostBusy }: Waiting): boolean =>
  (cpu.pressure ?? ratio(0)) >= WAITS_SHARE &&
  cpu.overMs >= LEAST_OVER_MS &&
  hostBusy !== undefined &&
  hostBusy < HOST_BUSY;
