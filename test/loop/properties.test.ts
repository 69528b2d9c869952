import { describe, expect, it } from 'vitest';
import { type LoopState, newLoopState } from '../../src/core/loop-state.ts';
import type { ContainerPolicy } from '../../src/core/policy.ts';
import { runCycle } from '../../src/loop/cycle.ts';
import { sample } from '../../src/loop/sample.ts';
import { remembered } from '../core/builders.ts';
import type { LabelledEvent } from '../core/journal-events.ts';
import { fc } from '../fast-check.ts';
import { breathe } from '../patience.ts';
import { type HostMoment, type Moment, RandomNode, type Story, story } from './random-node.ts';

/** What must hold of every change, whatever the usage, the configuration and the host. */

/** A change that was made, as the JSON log tells it. */
interface Step {
  readonly id: number;
  readonly resource: 'cores' | 'memory';
  readonly rule: string;
  readonly before: number;
  readonly after: number;
  readonly min: number;
  readonly max: number;
  readonly need: number;
  readonly inTenths: boolean;
  /** Memory that it really held. */
  readonly holdsMib: number;
  readonly atMs: number;
  readonly now: HostMoment;
  readonly own: Moment;
  readonly policy: ContainerPolicy;
}

interface Lived {
  readonly world: RandomNode;
  readonly state: LoopState;
  readonly steps: readonly Step[];
}

interface Details {
  readonly status: string;
  readonly before: number;
  readonly after: number;
  readonly rule: string;
  readonly unit?: string;
  readonly thresholds: { readonly min: number; readonly max: number; readonly need: number };
}

const detailsOf = ({ details }: LabelledEvent): Details => details as unknown as Details;
const isDone = (event: LabelledEvent): boolean =>
  ['confirmed', 'pending'].includes(detailsOf(event).status) && event.kind !== 'confirm';

const cycleOf = (world: RandomNode, state: LoopState, now: HostMoment, dryRun = false) =>
  runCycle(
    world.node.world,
    {
      manage: world.manage,
      hostPolicy: world.story.hostPolicy,
      atOnce: 1,
      dryRun,
      isOffPeak: () => now.offPeak,
    },
    state,
    new AbortController().signal,
  );

/** Lets the loop live through a story, with samples and early decisions between its cycles. */
async function live(own: Story, until = own.moments.length): Promise<Lived> {
  await breathe();
  const world = new RandomNode(own);
  const { node } = world;
  const state = newLoopState();
  const steps: Step[] = [];
  const stop = new AbortController().signal;
  let told = 0;
  const tell = (index: number, now: HostMoment): void => {
    for (const event of node.events.slice(told)) {
      const guest = own.guests[event.vmid - 101];
      const moment = guest?.moments[index];
      if (guest === undefined || moment === undefined || !isDone(event)) continue;
      const { before, after, rule, unit, thresholds } = detailsOf(event);
      steps.push({
        id: event.vmid,
        resource: event.action.includes('Memory') ? 'memory' : 'cores',
        rule,
        before,
        after,
        ...thresholds,
        inTenths: unit === 'cpulimit',
        holdsMib: node.get(event.vmid).memory.anon ?? 0,
        atMs: node.nowMs,
        now,
        policy: guest.policy,
        own: index === 0 ? { ...moment, missing: 'nothing' } : moment,
      });
    }
    told = node.events.length;
  };
  for (let index = 0; index < until; index += 1) {
    const now = world.enter(index);
    for (const part of [0.25, 0.25]) {
      world.pass(now.passedMs * part, now);
      const { urgent } = sample(node.world, state, { urgentSamples: 2, manage: world.manage });
      if (urgent.size === 0) continue;
      const settings = { manage: world.manage, hostPolicy: own.hostPolicy, atOnce: 1 };
      const early = { ...settings, dryRun: false, isOffPeak: () => now.offPeak, urgent };
      await runCycle(node.world, early, state, stop);
      tell(index, now);
    }
    world.pass(now.passedMs * 0.5, now);
    await cycleOf(world, state, now);
    tell(index, now);
  }
  return { world, state, steps };
}

const grows = ({ before, after }: Step): boolean => after > before;
const RUNS = { numRuns: 80 };
/** The JSON log rounds to thousandths. */
const ABOUT = 0.002;

const everyStory = (holds: (lived: Lived) => void): Promise<void> =>
  fc.assert(
    fc.asyncProperty(story, async (own) => holds(await live(own))),
    RUNS,
  );

describe('of every change', () => {
  it('it stays inside min..max, or leads back towards it, in whole steps', () =>
    everyStory(({ steps }) => {
      for (const step of steps) {
        if (grows(step)) expect(step.after).toBeLessThanOrEqual(step.max);
        else expect(step.after).toBeGreaterThanOrEqual(step.min);
        const bounds = step.resource === 'cores' ? step.policy.cpu : undefined;
        if (grows(step) && bounds !== undefined) expect(step.after).toBeLessThanOrEqual(bounds.max);
        const whole = step.after * (step.inTenths ? 10 : 1);
        const back = ['boost-end', 'peak-again'].includes(step.rule);
        if (!back) expect(Math.abs(whole - Math.round(whole))).toBeLessThan(1e-6);
      }
    }));

  it('nothing is taken that is needed, but for the CPU of a boost', () =>
    everyStory(({ steps }) => {
      for (const step of steps) {
        if (grows(step) || (step.rule === 'boost-end' && step.resource === 'cores')) continue;
        expect(step.after).toBeGreaterThanOrEqual(step.need - ABOUT);
        if (step.resource !== 'memory') continue;
        expect(step.after).toBeGreaterThanOrEqual(step.holdsMib);
      }
    }));

  it('nothing rests on a reading that is missing', () =>
    everyStory(({ steps }) => {
      for (const { resource, own, now, ...step } of steps) {
        expect(['config', 'cgroup', resource === 'cores' ? 'cpu' : 'memory']).not.toContain(
          own.missing,
        );
        if (resource === 'cores') expect(now.missing).not.toBe('cpus');
        if (resource === 'memory' && step.after > step.before) {
          expect(['memory', 'vms']).not.toContain(now.missing);
        }
      }
    }));

  it('what is given in one cycle is free, and all limits together keep to their ceiling', () =>
    everyStory(({ steps, world }) => {
      const { hostPolicy, totalMib } = world.story;
      for (const atMs of new Set(steps.map((step) => step.atMs))) {
        const given = steps.filter(
          (step) => step.atMs === atMs && step.resource === 'memory' && grows(step),
        );
        const sum = given.reduce((total, { before, after }) => total + after - before, 0);
        const free = Math.min(totalMib, given[0]?.now.availableMib ?? 0);
        expect(sum).toBeLessThanOrEqual(Math.max(0, free - hostPolicy.reserveMemoryMib));
      }
    }));

  it('no growth takes the limits of all guests above their ceiling', () =>
    everyStory(({ steps, world }) => {
      const { hostPolicy, totalMib, vmMib, guests } = world.story;
      const most = (totalMib - hostPolicy.reserveMemoryMib) * hostPolicy.overcommitRatio;
      const limits = guests.map(({ memoryMib }) => memoryMib);
      for (const step of steps) {
        if (step.resource !== 'memory') continue;
        limits[step.id - 101] = step.after;
        const sum = limits.reduce((total, limit) => total + limit, vmMib);
        if (grows(step)) expect(sum).toBeLessThanOrEqual(most);
      }
    }));
});

/** These wait for no cooldown: what must be at once, and what ends something of its own. */
const DOWN_AT_ONCE = new Set(['boost-end', 'host-emergency']);
const UP_AT_ONCE = new Set([
  'oom-kill',
  'limit-hit',
  'below-minimum',
  'peak-again',
  'shrink-undone',
  'rising',
]);

describe('of a series of changes', () => {
  it('none goes up and down again within its cooldown, nor down and up', () =>
    everyStory(({ steps }) => {
      const last = new Map<string, Step>();
      for (const step of steps) {
        const key = `${step.id}/${step.resource}`;
        const before = last.get(key);
        last.set(key, step);
        if (before === undefined || grows(before) === grows(step)) continue;
        if ((grows(step) ? UP_AT_ONCE : DOWN_AT_ONCE).has(step.rule)) continue;
        const { cooldownUpMs, cooldownDownMs } = step.policy.timing;
        const least = grows(step) ? cooldownUpMs : cooldownDownMs;
        expect(step.atMs - before.atMs).toBeGreaterThanOrEqual(least);
      }
    }));

  it('a boost ends where it began', () =>
    everyStory(({ steps }) => {
      const on = new Map<string, number>();
      for (const { id, resource, rule, before, after, min } of steps) {
        const key = `${id}/${resource}`;
        if (rule === 'boost-end') expect(after).toBe(Math.max(min, on.get(key) ?? Number.NaN));
        if (rule === 'saturated') on.set(key, before);
      }
    }));

  it('nobody’s hand is seen where nobody else was', () =>
    everyStory(({ world, state }) => {
      expect(remembered(state, 'handHoldMs').size).toBe(0);
      expect(world.node.lines.filter((line) => line.includes('not by this program'))).toEqual([]);
    }));
});

describe('a dry run', () => {
  const wishes = (events: readonly LabelledEvent[]): readonly string[] =>
    events
      .filter(({ action }) => action !== 'Confirm Cores')
      .map(({ vmid, action, change, details }) => {
        const plain = action.replace(/^Would | (Failed|Rolled Back|Not Proven)$/g, '');
        const { before, after, reason, rule, limits, usage, thresholds } = details;
        const numbers = { before, after, reason, rule, limits, usage, thresholds };
        return JSON.stringify([vmid, plain, change, numbers]);
      })
      .sort();

  it('decides exactly as a real one does, and changes nothing', async () => {
    let decided = 0;
    await fc.assert(
      fc.asyncProperty(story, fc.integer({ min: 2, max: 7 }), async (own, last) => {
        const found: (readonly string[])[] = [];
        for (const dryRun of [false, true]) {
          const { world, state } = await live(own, last);
          const now = world.enter(last);
          world.pass(now.passedMs, now);
          const { events, sets } = world.node;
          const [told, set] = [events.length, sets.length];
          const before = JSON.stringify([...world.node.containers.values()].map((c) => c.config));
          await cycleOf(world, state, now, dryRun);
          found.push(wishes(events.slice(told)));
          if (!dryRun) continue;
          expect(sets.length).toBe(set);
          const after = JSON.stringify([...world.node.containers.values()].map((c) => c.config));
          expect(after).toBe(before);
        }
        expect(found[1]).toEqual(found[0]);
        decided += found[0]?.length ?? 0;
      }),
      { numRuns: 80 },
    );
    expect(decided).toBeGreaterThan(15);
  });
});

it('the stories are rich: every rule is among the changes', async () => {
  const rules = new Set<string>();
  for (const own of fc.sample(story, { numRuns: 400, seed: 7 })) {
    for (const { rule } of (await live(own)).steps) rules.add(rule);
  }
  const expected = [
    'above-maximum',
    'above-upper',
    'below-lower',
    'below-minimum',
    'boost-end',
    'host-emergency',
    'off-peak',
    'oom-kill',
    'peak-again',
    'saturated',
  ];
  expect([...rules].sort()).toEqual(expect.arrayContaining(expected));
});

it('every line on a container says so for those who search, and comes from a room', () =>
  everyStory(({ world }) => {
    const { lines, abouts } = world.node;
    for (const [index, line] of lines.entries()) {
      const about = abouts[index];
      const named = /[Cc]ontainer (\d+)/.exec(line)?.[1];
      if (named === undefined) continue;
      expect([line, about?.vmid]).toEqual([line, Number(named)]);
      expect(['observe', 'decide', 'act']).toContain(about?.component);
      expect(about?.event).toMatch(/^[a-z-]+$/);
    }
  }));
