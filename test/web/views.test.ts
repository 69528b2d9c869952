import type { Page } from 'playwright-core';
import { describe, expect } from 'vitest';
import { inBrowser, stage, textOf } from './browser.ts';
import { ADVICE, fixture, HEALTH, line } from './fixture.ts';
import { refusal } from './page-server.ts';

/** Each view with data, with nothing, and in trouble. The page is behind a path prefix. */

const on = stage('/a/prefix/');

/** Waits until the view says so. */
const saying = (page: Page, words: string | RegExp) => page.getByText(words).first().waitFor();

describe('the guests', () => {
  inBrowser('are in a table, with the node above it', async () => {
    const page = await on.open();
    // Health and a day's kills are asked for beside the status.
    await saying(page, '1 check fails');
    await saying(page, 'in the last 24 hours');
    const text = await textOf(page);
    expect(text).toContain('41 % busy');
    expect(text).toContain('6 cores · 12 GB');
    expect(text).toContain('−2 cores · −5 GB');
    expect(text).toContain('1 check fails');
    expect(text).toContain('in the last 24 hours 105');
    expect(await page.locator('tbody tr').count()).toBe(13);
    const row = await textOf(page, 'tbody tr:has-text("intranet")');
    expect(row).toMatch(/104 intranet 0.03 \/ 6 0.3 \/ 12 GB .* would .*CPU 6 → 2 cores/);
    expect(await textOf(page, '.mode')).toBe('ACTIVE 1 observed');
  });

  inBrowser('are searched from the keyboard, filtered and sorted', async () => {
    const page = await on.open();
    await page.keyboard.press('/');
    await page.keyboard.type('shop');
    expect(await page.locator('tbody tr').count()).toBe(2);
    await page.keyboard.press('Control+a');
    await page.keyboard.press('Delete');
    await page.getByRole('button', { name: 'On hold 1' }).click();
    expect(await textOf(page, 'tbody')).toContain('nextcloud');
    await page.getByRole('button', { name: 'All 13' }).click();
    await page.getByRole('button', { name: 'CPU' }).click();
    expect(await page.locator('[aria-sort="descending"]').innerText()).toContain('CPU');
    expect(await textOf(page, 'tbody tr:first-child')).toContain('batch');
    await page.getByRole('button', { name: 'CPU' }).click();
    expect(await textOf(page, 'tbody tr:first-child')).toContain('intranet');
    await page.getByRole('searchbox').fill('nobody');
    await saying(page, 'No guest fits the search and filter.');
  });

  inBrowser('may be none', async () => {
    on.answering({ 'GET status': () => ({ body: fixture([]).status }) });
    const page = await on.open();
    await saying(page, 'There are no guests on this node.');
  });

  inBrowser('say OBSERVE where nothing is changed', async () => {
    const observed = fixture(
      [{ id: 104, name: 'intranet', cores: 6, mib: 12_288, usedCores: 0.03, usedMib: 327 }].map(
        (one) => ({ ...one, mode: 'observe' as const }),
      ),
    );
    on.answering({ 'GET status': () => ({ body: observed.status }) });
    const page = await on.open();
    expect(await textOf(page, '.mode')).toBe('OBSERVE');
    await saying(page, /^OBSERVE MODE: nothing is changed\. If it were active: 1 container/);
    expect(await page.title()).toBe('OBSERVE · lxc-autoscale');
  });
});

describe('one guest', () => {
  inBrowser('has its decision step by step, its usage with marks, and its history', async () => {
    const page = await on.open('#/guests/101');
    await page
      .getByRole('img', { name: /^CPU over time: used 0.\d+ to 2.\d+; limit 2 to 4; 2/ })
      .waitFor();
    await page.getByRole('img', { name: /^Memory over time: .*; 0 changes$/ }).waitFor();
    const text = await textOf(page);
    expect(text).toContain('TIER_web lists it');
    expect(text).toMatch(/Hold it uses 2.4 of its 4 cores \(60 %\): between the thresholds/);
    expect(await page.locator('.history tbody tr').count()).toBe(2);
    await page.getByText('15 readings').click();
    await saying(page, '2.4 of 4 cores (60 %) over 300 s');
    await page.keyboard.press('Escape');
    await page.locator('table.guests').waitFor();
  });

  inBrowser('is opened from the table, also by the keyboard', async () => {
    const page = await on.open();
    await page.getByRole('link', { name: 'web-shop' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: '101 web-shop' }).waitFor();
    await page.getByRole('link', { name: 'All guests' }).click();
    await page.locator('tbody tr:has-text("wiki") .col-policy').click({ force: true });
    await page.getByRole('heading', { name: '108 wiki' }).waitFor();
  });

  inBrowser('may have no usage and no history, and may not be there at all', async () => {
    on.answering({
      'GET guests/ID/usage': () => ({ body: { columns: ['timeS'], rows: [] } }),
      'GET history': () => ({ body: { events: [], more: false } }),
    });
    const page = await on.open('#/guests/101');
    await saying(page, /^No usage is recorded yet/);
    await saying(page, 'Nothing was logged of this guest.');
    await page.evaluate('location.hash = "#/guests/999"');
    await saying(page, 'Guest 999 is not on this node.');
  });

  inBrowser('says what went wrong, part by part', async () => {
    on.answering({
      'GET guests/ID/usage': () => refusal(501, 'not-here', 'No usage is kept here.'),
      'GET guests/ID/explain': () => refusal(502, 'failed', 'It could not be explained.'),
    });
    const page = await on.open('#/guests/101');
    await saying(page, 'No usage is kept here.');
    await saying(page, 'It could not be explained.');
    expect(await page.locator('.history tbody tr').count()).toBe(2);
  });
});

describe('the history', () => {
  inBrowser('is filtered by words, time and kind', async () => {
    const page = await on.open('#/history');
    const rows = page.locator('tbody tr');
    await rows.first().waitFor();
    expect(await rows.count()).toBe(5);
    await page.getByLabel('What kind').selectOption('Failures');
    expect(await textOf(page, 'tbody')).toContain('leaky-app');
    expect(await rows.count()).toBe(1);
    await page.getByLabel('What kind').selectOption('Everything');
    await page.getByRole('searchbox').fill('intranet');
    expect(await textOf(page, 'tbody')).toContain('would: CPU 2 → 4');
    await page.getByLabel('How far back').selectOption('Last 7 days');
    await expect.poll(() => on.server.asked.at(-1)).toBe('GET history?limit=200&since=7d');
  });

  inBrowser('may be empty, longer than what is shown, or refused', async () => {
    on.answering({ 'GET history': () => ({ body: { events: [], more: false } }) });
    const page = await on.open('#/history');
    await saying(page, 'Nothing was logged that fits these filters.');
    on.answering({ 'GET history': () => ({ body: { events: [line()], more: true } }) });
    await page.getByLabel('How far back').selectOption('All that is kept');
    await page.getByRole('button', { name: 'Show more' }).click();
    await expect.poll(() => on.server.asked.at(-1)).toBe('GET history?limit=1000');
    on.answering({ 'GET history': () => refusal(502, 'failed', 'The log cannot be read.') });
    await page.getByLabel('How far back').selectOption('Last 30 days');
    await saying(page, 'The log cannot be read.');
  });
});

describe('advice', () => {
  inBrowser('says what each should have, and how to bring it into the configuration', async () => {
    const page = await on.open('#/advice');
    await saying(page, 'Apply to the configuration');
    const text = await textOf(page);
    expect(text).toMatch(/101 web-shop 4 cores → 3 cores .*4 GB → 2.5 GB .*10 days, very sure/);
    expect(text).toContain('All of its cores were in use 12 % of the time, so it may want more');
    expect(text).toContain('+TIER_4_cores_4096_mb:');
    expect(text).toContain(
      'Left out, since a tier has them, or they are no managed containers: 103.',
    );
    await page.getByRole('button', { name: 'Copy' }).click();
    expect(await page.evaluate('String(getSelection())')).toContain('+  guests: [101]');
  });

  inBrowser('is asked for only while it is looked at', async () => {
    const page = await on.open('#/guests');
    await page.locator('tbody tr').first().waitFor();
    expect(on.server.asked.filter((one) => one.includes('recommendations'))).toEqual([]);
  });

  inBrowser('may be none', async () => {
    on.answering({ 'GET recommendations': () => ({ body: { ...ADVICE, containers: [] } }) });
    await saying(await on.open('#/advice'), /^Nothing is recorded yet/);
  });
});

describe('groups and health', () => {
  inBrowser('have their members, failures and checks', async () => {
    const page = await on.open('#/groups');
    await saying(page, 'a load balancer finds the members');
    const text = await textOf(page);
    expect(text).toContain('2 in service, 3 wanted (1 to 5; scale-in stop)');
    expect(text).toContain('start of 9003 failed 2 times, next try in 2 min: no free address');
    expect(await page.locator('.members tbody tr').count()).toBe(2);
    await page.getByRole('link', { name: 'Health' }).click();
    await saying(page, 'gotify: 2 wait, and none was sent for 2400 s');
    expect(await page.locator('.checks li.bad').count()).toBe(1);
  });

  inBrowser('may have nothing to say, or be refused', async () => {
    on.answering({
      'GET groups': () => ({ body: { groups: [] } }),
      'GET health': () => ({ body: { ...HEALTH, healthy: true, checks: [] } }),
    });
    const page = await on.open('#/groups');
    await saying(page, /^No group is configured/);
    on.answering({ 'GET groups': () => refusal(502, 'failed', 'No groups now.') });
    await page.reload();
    await saying(page, 'No groups now.');
  });
});
