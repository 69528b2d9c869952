import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import { inBrowser, stage } from './browser.ts';
import { fixture } from './fixture.ts';
import { type Answers, type Asked, refusal, SESSION, usualAnswers } from './page-server.ts';

/** What a person does by hand: each thing says first what would come of it. */

const on = stage();

const asRole = (role: string): Answers => ({
  'GET session': () => ({ body: { ...SESSION, role } }),
});

const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });

inBrowser('a change is previewed, then made, with the token of the session', async () => {
  const made: unknown[] = [];
  on.answering({
    'POST guests/ID/memory': ({ body, query, csrf }) => {
      const says = `Memory 4096 -> ${body['memory']} MB.`;
      if (query.get('dry_run') === '1') return { body: { says: `It would be: ${says}` } };
      made.push([body, csrf]);
      return { body: { says, note: 'It is read back.' } };
    },
    'POST guests/ID/cores': () => ({ body: { says: 'It would be: nothing new.' } }),
  });
  const page = await on.open('#/guests/101');
  await button(page, 'Change').click();
  const dialog = page.getByRole('dialog', { name: 'Change web-shop' });
  await dialog.getByText('It would be: nothing new.').waitFor();
  await dialog.getByRole('radio', { name: 'Memory' }).check();
  await dialog.getByLabel('Memory in MB').fill('6144');
  await dialog.getByText('It would be: Memory 4096 → 6144 MB.').waitFor();
  expect(made).toEqual([]);
  await dialog.getByRole('button', { name: 'Apply' }).click();
  await dialog.getByText('Memory 4096 → 6144 MB. It is read back.').waitFor();
  expect(made).toEqual([[{ memory: 6144 }, SESSION.csrf]]);
  await dialog.getByRole('button', { name: 'Close' }).click();
  expect(await page.getByRole('dialog').count()).toBe(0);
});

const bounded: Answers = {
  'POST guests/ID/cores': ({ body }) =>
    body['force'] === true
      ? { body: { says: 'It would be forced.' } }
      : refusal(409, 'refused', 'Its policy allows at most 8 cores.'),
};

inBrowser('a refusal says why, and only an admin may force it', async () => {
  on.answering({ ...bounded, ...asRole('scale') });
  const page = await on.open('#/guests/101');
  await button(page, 'Change').click();
  await page.getByText('Its policy allows at most 8 cores.').waitFor();
  expect(await button(page, 'Apply').isDisabled()).toBe(true);
  expect(await page.getByRole('checkbox').count()).toBe(0);

  on.answering(asRole('admin'));
  const byAdmin = await on.open('#/guests/101');
  await button(byAdmin, 'Change').click();
  await byAdmin.getByRole('checkbox').check();
  await byAdmin.getByText('It would be forced.').waitFor();
  expect(await button(byAdmin, 'Apply').isDisabled()).toBe(false);
});

inBrowser('what does not come about is said, and may be tried again', async () => {
  on.answering({
    'POST guests/ID/rollback': ({ query }) =>
      query.get('dry_run') === '1'
        ? { body: { says: 'CPU 4 -> 2 cores.' } }
        : refusal(502, 'failed', 'pct set failed: no quorum.'),
  });
  const page = await on.open('#/guests/101');
  await button(page, 'Undo last change').click();
  await page.getByText('CPU 4 → 2 cores.').waitFor();
  await button(page, 'Undo').click();
  await page.getByText('pct set failed: no quorum.').waitFor();
  expect(await button(page, 'Undo').isDisabled()).toBe(false);
});

inBrowser('an earlier change is taken back by its copy, out of the history', async () => {
  const wishes: unknown[] = [];
  on.answering({
    'POST guests/ID/rollback': ({ body }) => {
      wishes.push(body);
      return { body: { says: 'CPU 4 -> 2 cores.' } };
    },
  });
  const page = await on.open('#/history');
  const undo = page.getByRole('button', { name: /^Undo the change of monitoring/ });
  await undo.click();
  await page.getByRole('dialog', { name: 'Take monitoring back' }).waitFor();
  await expect.poll(() => wishes).toEqual([{ to: '20261121T220445.123Z-0a1b2c3d' }]);
  await page.keyboard.press('Escape');
  expect(await page.getByRole('dialog').count()).toBe(0);
});

inBrowser('a guest is paused for a while, and goes on', async () => {
  const asked: unknown[] = [];
  on.answering({
    'POST guests/ID/pause': ({ body }) => {
      asked.push(body);
      return { body: { says: `Paused for ${body['minutes']} minutes.` } };
    },
    'POST guests/ID/resume': () => ({ body: { says: 'It is scaled again.' } }),
  });
  const page = await on.open('#/guests/101');
  await button(page, 'Pause').click();
  const dialog = page.getByRole('dialog', { name: 'Pause web-shop' });
  await dialog.getByLabel('For how long').selectOption('One day');
  await dialog.getByText('Paused for 1440 minutes.').waitFor();
  await dialog.getByRole('button', { name: 'Pause' }).click();
  await dialog.getByRole('button', { name: 'Close' }).click();
  expect(asked.at(-1)).toEqual({ minutes: 1440 });
  await page.evaluate('location.hash = "#/guests/111"');
  await button(page, 'Resume').click();
  await page.getByText('It is scaled again.').waitFor();
});

inBrowser('a group gets one member more or less, with a preview', async () => {
  const asked: unknown[] = [];
  on.answering({
    'POST groups/shop/scale-out': ({ query, csrf }) => {
      if (query.get('dry_run') === null) asked.push(csrf);
      return { body: { group: 'shop', says: 'Group shop: 3 -> 4 members.' } };
    },
    'POST groups/shop/scale-in': () => refusal(409, 'refused', 'It has as few as it may.'),
  });
  const page = await on.open('#/groups');
  await button(page, 'One more member of shop').click();
  const more = page.getByRole('dialog', { name: 'One more in shop' });
  await more.getByText('Preview: Group shop: 3 → 4 members.').waitFor();
  expect(asked).toEqual([]);
  await more.getByRole('button', { name: 'One more' }).click();
  await more.getByRole('button', { name: 'Close' }).click();
  expect(asked).toEqual([SESSION.csrf]);
  await button(page, 'One less member of shop').click();
  await page.getByText('It has as few as it may.').waitFor();
  expect(await button(page, 'One less').isDisabled()).toBe(true);
});

inBrowser('an admin makes a tier active, and sees first what would change at once', async () => {
  const made: unknown[] = [];
  on.answering({
    ...asRole('admin'),
    'POST config/mode': ({ body, query }) => {
      if (query.get('dry_run') === null) made.push(body);
      const says = 'Everything -> active. 1 of 1 observed guests would change at once.';
      return { body: { says, diff: ['- scaling_mode: observe', '+ scaling_mode: threshold'] } };
    },
  });
  const page = await on.open('#/guests');
  await page.getByRole('link', { name: /^ACTIVE/ }).click();
  await button(page, 'Activate everything').click();
  const dialog = page.getByRole('dialog', { name: 'Make everything active' });
  await dialog.getByText(/1 of 1 observed guests would change at once/).waitFor();
  await dialog.getByText('+ scaling_mode: threshold').waitFor();
  await dialog.getByRole('button', { name: 'Activate' }).click();
  await dialog.getByRole('button', { name: 'Close' }).click();
  expect(made).toEqual([{ mode: 'active' }]);
  await button(page, 'Observe TIER_web').waitFor();
});

inBrowser('who may only look is offered nothing', async () => {
  on.answering(asRole('read'));
  const page = await on.open('#/guests/101');
  await page.locator('.history tbody tr').first().waitFor();
  for (const name of ['Change', 'Pause', 'Undo last change']) {
    expect(await button(page, name).count()).toBe(0);
  }
  expect(await page.getByRole('button', { name: /^Undo/ }).count()).toBe(0);
  await page.evaluate('location.hash = "#/groups"');
  await page.getByRole('region', { name: 'Group shop' }).waitFor();
  expect(await page.getByRole('button', { name: /^One / }).count()).toBe(0);
});

inBrowser('of several nodes the one that is shown is named in each request', async () => {
  const { status } = fixture();
  const others = [{ node: 'lab', cycle: 7, guests: 3, paused: null }];
  const named: string[] = [];
  const noting =
    (what: string, body: unknown) =>
    ({ query }: Asked) => {
      named.push(`${what} ${query.get('node')} ${query.get('dry_run') ?? ''}`.trim());
      return { body };
    };
  const usual = usualAnswers();
  on.answering({
    'GET status': () => ({ body: { ...status, node: 'pve2', others } }),
    'GET guests/ID/explain': (asked) => {
      noting('explain', {})(asked);
      return usual['GET guests/ID/explain']?.(asked) ?? {};
    },
    'GET history': noting('history', { events: [], more: false }),
    'POST guests/ID/pause': noting('pause', { says: 'Paused.' }),
  });
  const page = await on.open('#/guests/101');
  await button(page, 'Pause').click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('Paused.').waitFor();
  await dialog.getByRole('button', { name: 'Pause' }).click();
  await expect.poll(() => named).toContain('pause pve2');
  expect(named).toContain('pause pve2 1');
  expect(named).toContain('explain pve2');
  expect(named).toContain('history pve2');
  expect(named.filter((one) => !one.includes('pve2'))).toEqual([]);
});

inBrowser('a login in another window does not break this one', async () => {
  let now = SESSION;
  const made: unknown[] = [];
  on.answering({
    'GET session': () => ({ body: now }),
    'POST guests/ID/pause': ({ csrf }) => {
      if (csrf !== now.csrf) return refusal(403, 'csrf', 'A change needs the header.');
      made.push(csrf);
      return { body: { says: 'Paused.' } };
    },
  });
  const page = await on.open('#/guests/101');
  await button(page, 'Pause').waitFor();
  now = { ...SESSION, csrf: 'another' };
  await button(page, 'Pause').click();
  await page.getByRole('dialog').getByText('Paused.').waitFor();
  expect(made).toEqual(['another']);
});
