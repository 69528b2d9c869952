import { describe, expect, it } from 'vitest';
import type { NodeUnderTest } from '../e2e/node-under-test.ts';
import { oneOfEach, type Point, pointsOf, sayPoint, type Touch } from './points.ts';
import { expectKept, expectWhole, type Kept, type Measure } from './promises.ts';
import { type Death, pause, Site } from './site.ts';

/** Something that the program does, which is then cut off at each point. */
export interface Scenario extends Kept {
  readonly create: () => Promise<NodeUnderTest>;
  /** What goes wrong with commands in each run, and what else the site needs. */
  readonly prepare?: (site: Site) => void | Promise<void>;
  /** The life that is cut off somewhere; else one cycle. Its list of touches is taken. */
  readonly live?: (site: Site) => Promise<Death>;
  /** The life that comes after it; else one cycle. */
  readonly goOn?: (site: Site) => Promise<Death>;
  /** So many points there are at least: an enumeration that misses most must not pass. */
  readonly points: number;
  /** Which of them a short run tries too; the others it tries in another scenario. */
  readonly own?: RegExp;
}

/** What it comes to where nothing is cut off. */
export interface Usual {
  readonly touches: readonly Touch[];
  readonly sets: number;
  readonly confs: ReadonlyMap<number, string>;
}

const once = (site: Site): Promise<Death> => site.run(['once']);
/** A life that begins when rates can be measured again, and cores have come into force. */
export async function onceLater(site: Site): Promise<Death> {
  await pause(LATER_MS);
  return once(site);
}
const LATER_MS = 1500;

const LIMIT_MS = 200_000;

const EVERY = process.env['CRASH_POINTS'] === 'all';

async function siteOf(scenario: Scenario): Promise<Site> {
  const site = new Site(await scenario.create());
  await scenario.prepare?.(site);
  return site;
}

const confsOf = ({ under }: Site): ReadonlyMap<number, string> =>
  new Map(under.node.machine.files.vmids().map((vmid) => [vmid, under.conf(vmid)]));

async function uncut(scenario: Scenario): Promise<Usual> {
  const { live = once, goOn = once } = scenario;
  const site = await siteOf(scenario);
  const before = site.settings.length;
  expectFine(await live(site), scenario);
  const touches = site.touches();
  expectFine(await goOn(site), scenario);
  const usual = { touches, sets: site.settings.length - before, confs: confsOf(site) };
  await site.under.node.close();
  return usual;
}

function expectFine({ code, stderr }: Death, { codes = [0] }: Scenario): void {
  expect(codes, stderr).toContain(code);
}

/** How often a life does something may depend on the time it takes, with leases and retries. */
const MOST_TRIES = 3;

/** Returns whether the point was met. */
async function cutOff(scenario: Scenario, point: Point, usual: Usual): Promise<boolean> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const site = await siteOf(scenario);
    const before = site.settings.length;
    site.cutOffAt(point);
    const death = await (scenario.live ?? once)(site);
    if (death.signal === null) expectFine(death, scenario);
    else {
      expect(death).toMatchObject({ signal: 'SIGKILL' });
      await afterDeath(site, scenario, point, { ...usual, setsBefore: before });
      return true;
    }
    await site.under.node.close();
  }
  return false;
}

async function afterDeath(
  site: Site,
  scenario: Scenario,
  point: Point,
  usual: Usual & Measure,
): Promise<void> {
  const { goOn = once } = scenario;
  const goesOnForLong = point.when === 'begun, and it goes on for long';
  if (!goesOnForLong) await site.orphanEnded();
  await expectWhole(site, scenario);
  expectFine(await goOn(site), scenario);
  if (goesOnForLong) {
    await site.orphanEnded();
    expectFine(await goOn(site), scenario);
  }
  await expectKept(site, scenario, usual, point.when);
}

/** A test for each point: all of them, or in a short run one of each kind. */
export async function crashes(title: string, scenario: Scenario): Promise<void> {
  const usual = await uncut(scenario);
  const points = pointsOf(usual.touches);
  const own = scenario.own ?? /./;
  const tried = EVERY ? points : oneOfEach(points).filter(({ name }) => own.test(name));
  describe(title, () => {
    it(`has ${points.length} points, of which ${tried.length} are tried`, () => {
      expect(points.length).toBeGreaterThanOrEqual(scenario.points);
    });
    for (const point of tried) {
      it(sayPoint(point), { timeout: LIMIT_MS }, async ({ skip }) => {
        if (!(await cutOff(scenario, point, usual))) skip('the program did not come to it');
      });
    }
  });
}
