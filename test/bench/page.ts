import { chromium, type Page } from 'playwright-core';
import { until } from '../patience.ts';
import { fixture, manyGuests } from '../web/fixture.ts';
import { PageServer } from '../web/page-server.ts';

/** What a report costs the browser in which 300 guests are shown, and the first view of them. */

const GUESTS = 300;
const WARM_UP_ROUNDS = 5;
const ROUNDS = 40;
/** For what the page does with the last answer. */
const SETTLING_MS = 100;

const byValue = (one: number, other: number): number => one - other;

export async function benchPage(): Promise<readonly string[]> {
  const server = new PageServer();
  let round = 0;
  const status = () => ({ body: fixture(manyGuests(GUESTS, round), { cycle: round }).status });
  server.answers = { ...server.answers, 'GET status': status };
  await server.start();
  const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  try {
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    await page.goto(server.url);
    await page.locator('.fresh[data-link="live"]').waitFor();
    await page
      .locator('tbody tr')
      .nth(GUESTS - 1)
      .waitFor();
    const scripting = await metricOf(page, 'ScriptDuration');
    /** It asks for the health once it has drawn the state. A look at it would be scripting. */
    const update = async (): Promise<number> => {
      round += 1;
      const before = await scripting();
      const asked = server.asked.length;
      server.tell('cycle', {});
      await until(() => server.asked.slice(asked).includes('GET health'));
      await new Promise((resolve) => setTimeout(resolve, SETTLING_MS));
      return (await scripting()) - before;
    };
    for (let count = 0; count < WARM_UP_ROUNDS; count += 1) await update();
    const rounds: number[] = [];
    for (let count = 0; count < ROUNDS; count += 1) rounds.push(await update());
    const [least = 0, median = 0] = [0, ROUNDS / 2].map((place) => rounds.sort(byValue)[place]);
    const ms = `${median.toFixed(1)} ms of scripting (median), ${least.toFixed(1)} (least)`;
    return [`a report on ${GUESTS} guests, all of them changed: ${ms}`];
  } finally {
    await browser.close();
    await server.stop();
  }
}

/** A counter of the browser's own, in milliseconds. */
async function metricOf(page: Page, name: string): Promise<() => Promise<number>> {
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable');
  return async () => {
    const { metrics } = await session.send('Performance.getMetrics');
    return (metrics.find((one) => one.name === name)?.value ?? 0) * 1000;
  };
}
