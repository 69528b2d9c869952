import { describe, expect, it } from 'vitest';
import { type Played, play, type Scenario } from './drive.ts';
import { figures, printFigures } from './figures.ts';
import { bursts, container, HOUR, MINUTE, SECOND } from './habits.ts';

printFigures();

const YAML = 'DEFAULT:\n  scaling_mode: boost\n';
const BURST_MS = 10 * MINUTE;
/** Boosts last for two minutes; the first sample after that ends them. */
const LATEST_END_MS = 140_000;

/** Busy for four minutes from the tenth on, and else at a quarter of its two cores. */
const oneBurst = container(101, (at) => ({
  cpuCores: at >= BURST_MS && at < BURST_MS + 4 * MINUTE ? 3 : 0.5,
  anonMib: 900,
}));

const stepsOf = ({ node }: Played): readonly string[] =>
  node.sets
    .filter(({ outcome }) => outcome?.kind === 'done')
    .map(({ before, request }) => `${before.cores} -> ${request.cores}`);

const timesOf = ({ node }: Played): readonly number[] =>
  node.sets.map(({ atMs }) => atMs - BURST_MS);

const burst = (more: Partial<Scenario> = {}): Promise<Played> =>
  play({ yaml: YAML, guests: [oneBurst], forMs: HOUR, ...more });

describe('mode boost', () => {
  it('helps within seconds, and takes back when its time is over', async () => {
    const played = await burst();
    const found = figures('one burst of four minutes, 1 h', played);
    expect(stepsOf(played).slice(0, 2)).toEqual(['2 -> 3', '3 -> 2']);
    const [up = 0, down = 0] = timesOf(played);
    expect(up).toBeLessThanOrEqual(30 * SECOND);
    expect(down - up).toBeGreaterThanOrEqual(120 * SECOND);
    expect(down - up).toBeLessThanOrEqual(LATEST_END_MS);
    expect(played.node.config(101)?.cores).toBe(2);
    expect(found.starvedCpuS).toBeLessThanOrEqual(50);
  });

  it('does not ratchet up, however many bursts come', async () => {
    const quiet = { cpuCores: 0.5, anonMib: 900 };
    const demand = bursts(7 * MINUTE, 3 * MINUTE, quiet, { cpuCores: 6, anonMib: 900 });
    const guests = [container(101, demand)];
    const played = await play({ yaml: YAML, guests, forMs: 12 * HOUR });
    const found = figures('a burst every seven minutes, 12 h', played);
    expect(new Set(stepsOf(played))).toEqual(new Set(['2 -> 3', '3 -> 2']));
    expect(found.oomKills).toBe(0);
    expect(found.changes).toBeLessThanOrEqual(430);
  });

  it('never goes above the maximum', async () => {
    const played = await burst({ yaml: `${YAML}  max_cores: 2\n` });
    expect(played.node.sets).toEqual([]);
  });

  it.each([
    ['is ended in the middle of it', { crash: false, downMs: 0 }],
    ['crashes in the middle of it', { crash: true, downMs: 0 }],
    ['is down when it is over', { crash: false, downMs: 5 * MINUTE }],
    ['crashes, and is down for three cycles', { crash: true, downMs: 15 * MINUTE }],
  ])('goes back to the value before where the daemon %s', async (what, how) => {
    const played = await burst({ restarts: [{ atMs: BURST_MS + MINUTE, ...how }] });
    figures(`a boost, and the daemon ${what}`, played);
    expect(stepsOf(played)[0]).toBe('2 -> 3');
    expect(new Set(stepsOf(played))).toEqual(new Set(['2 -> 3', '3 -> 2']));
    expect(played.node.config(101)?.cores).toBe(2);
    const [up = 0, down = 0] = timesOf(played);
    expect(down - up).toBeLessThanOrEqual(LATEST_END_MS + how.downMs);
  });

  it('steps aside where an admin changes the value in the middle of it', async () => {
    const played = await burst({
      events: (node) => node.time.at(BURST_MS + MINUTE, () => node.edit(101, { cores: 6 })),
    });
    figures('a boost, and an admin in the middle of it', played);
    expect(stepsOf(played)).toEqual(['2 -> 3']);
    expect(played.node.config(101)?.cores).toBe(6);
  });

  it('takes what an admin set meanwhile for its own, once his hold is over', async () => {
    const quiet = { cpuCores: 1, anonMib: 900 };
    const twice = container(101, (at) => {
      const busy = [BURST_MS, 2.5 * HOUR].some((from) => at >= from && at < from + 2 * MINUTE);
      return { ...quiet, cpuCores: busy ? 8 : 1 };
    });
    const played = await play({
      yaml: YAML,
      guests: [twice],
      forMs: 4 * HOUR,
      events: (node) => node.time.at(BURST_MS + MINUTE, () => node.edit(101, { cores: 4 })),
    });
    figures('the same, and a second boost hours later', played);
    expect(stepsOf(played)).toEqual(['2 -> 3', '4 -> 6', '6 -> 4']);
  });
});
