import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { describe, expect } from 'vitest';
import { inBrowser, stage } from './browser.ts';
import { ADVICE, fixture, HOSTILE, hostileGuests, line } from './fixture.ts';
import { refusal } from './page-server.ts';

/** For every eye and every width; and text of others stays text. */

const on = stage();
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const VIEWS = [
  '#/guests',
  '#/guests/101',
  '#/guests/104',
  '#/groups',
  '#/advice',
  '#/history',
  '#/health',
  '#/mode',
];

/** All that was asked for has come. */
async function settled(page: Page): Promise<void> {
  await expect.poll(() => page.locator('.spinner').count()).toBe(0);
}

interface Finding {
  readonly id: string;
  readonly nodes: readonly { readonly html: string }[];
}

async function findings(page: Page): Promise<readonly string[]> {
  await settled(page);
  await page.evaluate(axe);
  const found = await page.evaluate('axe.run().then(({ violations }) => violations)');
  return (found as readonly Finding[]).flatMap(({ id, nodes }) =>
    nodes.map(({ html }) => `${id}: ${html}`),
  );
}

describe.each(['light', 'dark'] as const)('axe finds nothing, %s', (scheme) => {
  for (const view of VIEWS) {
    inBrowser(`in ${view}`, async () => {
      expect(await findings(await on.open(view, { scheme }))).toEqual([]);
    });
  }

  inBrowser('in a dialog', async () => {
    on.answering({ 'POST guests/ID/cores': () => refusal(409, 'refused', 'No more than 8.') });
    const page = await on.open('#/guests/101', { scheme });
    await page.getByRole('button', { name: 'Change', exact: true }).click();
    await page.getByText('No more than 8.').waitFor();
    expect(await findings(page)).toEqual([]);
  });

  inBrowser('at the login', async () => {
    on.answering({ 'GET session': () => refusal(401, 'login-needed', 'Log in.') });
    expect(await findings(await on.open('', { scheme }))).toEqual([]);
  });

  inBrowser('at the login with a user', async () => {
    on.answering({
      'GET session': () => refusal(401, 'login-needed', 'Log in.'),
      'GET login': () => ({ body: { proxmox: true } }),
    });
    const page = await on.open('', { scheme });
    await page.getByLabel('Password').waitFor();
    expect(await findings(page)).toEqual([]);
  });

  inBrowser('where the link is lost, but that old data are pale', async () => {
    const page = await on.open('#/guests', { scheme });
    await settled(page);
    await on.server.stop();
    await page.getByRole('button', { name: 'Try now' }).waitFor();
    const found = await findings(page);
    expect(found.filter((one) => !one.startsWith('color-contrast'))).toEqual([]);
  });
});

describe.each([360, 768, 1280, 2560])('at %d px', (width) => {
  for (const view of VIEWS) {
    inBrowser(`nothing of ${view} is beyond the edge`, async () => {
      const page = await on.open(view, { width });
      await settled(page);
      const beyond = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
      expect(beyond).toBe(0);
    });
  }
});

/** The page draws itself anew after a click, when it comes to it. */

inBrowser('the colours follow the system, and a choice that is kept', async () => {
  const page = await on.open('#/guests', { scheme: 'dark' });
  const paper = () => page.evaluate('getComputedStyle(document.body).backgroundColor');
  const dark = await paper();
  await page.getByRole('button', { name: 'Colours: system' }).click();
  await expect.poll(paper).not.toBe(dark);
  await page.reload();
  await page.getByRole('button', { name: 'Colours: light' }).click();
  await expect.poll(paper).toBe(dark);
});

describe('text of others', () => {
  for (const view of [
    '#/guests',
    '#/guests/100',
    '#/groups',
    '#/advice',
    '#/history',
    '#/health',
  ]) {
    inBrowser(`is only text in ${view}`, async () => {
      const { status, accountOf } = fixture(hostileGuests);
      const names = { name: HOSTILE, reason: HOSTILE };
      const said = { what: HOSTILE, says: HOSTILE };
      const account = accountOf(100);
      const check = { name: HOSTILE, ok: false, says: HOSTILE };
      const group = { label: HOSTILE, standing: HOSTILE, notes: [HOSTILE], underWay: [HOSTILE] };
      const rest = { source: 1, wanted: 1, inService: 1, min: 1, max: 1, scaleIn: HOSTILE };
      on.answering({
        'GET status': () => ({ body: { ...status, node: HOSTILE, others: [] } }),
        'GET history': () => ({ body: { events: [line({ ...names, vmid: 100 })], more: false } }),
        'GET guests/ID/explain': () => ({
          body: { ...account, policy: [said], seen: [said], leftAlone: HOSTILE, outcome: [said] },
        }),
        'GET groups': () => ({
          body: { groups: [{ ...group, ...rest, members: [], failures: [] }] },
        }),
        'GET recommendations': () => ({ body: { ...ADVICE, diff: HOSTILE, note: HOSTILE } }),
        'GET health': () => ({ body: { format: 1, healthy: false, checks: [check] } }),
      });
      const page = await on.open(view);
      await settled(page);
      await page.locator('main').getByText('<script>hacked()</script>').first().waitFor();
      expect(await page.locator('main img, main script').count()).toBe(0);
      expect(await page.title()).not.toBe('hacked');
    });
  }
});
