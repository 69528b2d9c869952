import { describe, expect } from 'vitest';
import { inBrowser, stage, textOf } from './browser.ts';
import { fixture, manyGuests } from './fixture.ts';
import { refusal, SESSION } from './page-server.ts';

/** A daemon that goes and comes back, news as they happen, and who is logged in. */

const on = stage();

describe('the link to the daemon', () => {
  inBrowser('is lost and comes back; until then what is shown is called old', async () => {
    const page = await on.open();
    await page.getByText('Live', { exact: true }).waitFor();
    await on.server.stop();
    await page.getByText('No connection').waitFor();
    await page.getByText(/The daemon does not answer. What you see is old: it is of 20/).waitFor();
    expect(await page.locator('tbody tr').count()).toBe(13);
    expect(await page.title()).toMatch(/^\(old\) /);
    await on.server.start();
    await page.getByRole('button', { name: 'Try now' }).click();
    await page.getByText('Live', { exact: true }).waitFor();
    expect(await page.getByText('What you see is old').count()).toBe(0);
  });

  inBrowser('comes back by itself', async () => {
    const page = await on.open();
    await page.getByText('Live', { exact: true }).waitFor();
    await on.server.stop();
    await page.getByText('No connection').waitFor();
    await on.server.start();
    await page.getByText('Live', { exact: true }).waitFor();
  });

  inBrowser('brings news at once', async () => {
    const page = await on.open();
    await page.getByText('Live', { exact: true }).waitFor();
    on.answering({ 'GET status': () => ({ body: fixture(manyGuests(2), { cycle: 413 }).status }) });
    on.server.tell('cycle', { node: 'pve1', kind: 'whole', ok: true, cycle: 413 });
    await page.getByText('cycle 413').waitFor();
    expect(await textOf(page, 'tbody')).toContain('guest-1-of-many');
  });

  inBrowser('waits for the first cycle of a daemon that has just begun', async () => {
    const says = 'The first cycle is not over yet.';
    on.answering({ 'GET status': () => refusal(503, 'starting', says) });
    const opening = on.open();
    await expect.poll(() => on.server.asked.filter((one) => one === 'GET status').length).toBe(2);
    on.answering({ 'GET status': () => ({ body: fixture().status }) });
    const page = await opening;
    await page.locator('tbody tr').first().waitFor();
  });

  inBrowser('does not ask while nobody looks', async () => {
    const page = await on.open('#/guests', { clock: true });
    await page.getByText('Live', { exact: true }).waitFor();
    const hide = (isHidden: boolean) =>
      page.evaluate(`Object.defineProperty(document, 'hidden', {
        value: ${isHidden}, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'))`);
    await hide(true);
    await expect.poll(() => on.server.listeners).toBe(0);
    const before = on.server.asked.length;
    const asked: string[] = [];
    page.on('request', (request) => void asked.push(request.url()));
    // Longer than any of its pauses.
    await page.clock.fastForward(61_000);
    await page.evaluate('navigator.userAgent');
    expect(asked).toEqual([]);
    await hide(false);
    await expect.poll(() => on.server.asked.slice(before)).toContain('GET status');
    await expect.poll(() => on.server.listeners).toBe(1);
  });
});

describe('whoever looks', () => {
  inBrowser('logs in with a token, and out', async () => {
    let isIn = false;
    const nobody = () => refusal(401, 'login-needed', 'Log in first.');
    on.answering({
      'GET session': () => (isIn ? { body: SESSION } : nobody()),
      'POST login': ({ body }) => {
        isIn = body['token'] === 'right';
        return isIn ? { body: SESSION } : refusal(401, 'wrong-login', 'This token is not known.');
      },
      'POST logout': ({ csrf }) => {
        isIn = csrf !== SESSION.csrf;
        return { status: 204 };
      },
    });
    const page = await on.open();
    await page.getByLabel('Token').fill('wrong');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByText('This token is not known.').waitFor();
    await page.getByLabel('Token').fill('right');
    await page.keyboard.press('Enter');
    await page.locator('tbody tr').first().waitFor();
    await page.reload();
    await page.locator('tbody tr').first().waitFor();
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('Token').waitFor();
    expect(isIn).toBe(false);
  });

  inBrowser('logs in with a user of Proxmox VE, or with a token all the same', async () => {
    const given: unknown[] = [];
    on.answering({
      'GET session': () => refusal(401, 'login-needed', 'Log in first.'),
      'GET login': () => ({ body: { proxmox: true } }),
      'POST login': ({ body }) => {
        given.push(body);
        const isIn = 'token' in body;
        return isIn ? { body: SESSION } : refusal(401, 'second-factor', 'It has a second factor.');
      },
    });
    const page = await on.open();
    await expect.poll(() => page.evaluate('document.activeElement?.name')).toBe('user');
    await page.getByLabel('User of Proxmox VE').fill('root@pam');
    await page.getByLabel('Password').fill('correct horse');
    await page.keyboard.press('Enter');
    await page.getByText('It has a second factor.').waitFor();
    await page.getByRole('button', { name: 'With a token' }).click();
    await page.getByLabel('Token').fill('right');
    await page.keyboard.press('Enter');
    await page.locator('tbody tr').first().waitFor();
    expect(given).toEqual([{ user: 'root@pam', password: 'correct horse' }, { token: 'right' }]);
  });

  inBrowser('comes by a link that works once, and leaves no trace of it', async () => {
    on.answering({
      'POST login': ({ body }) =>
        body['code'] === 'once-only' ? { body: SESSION } : refusal(401, 'wrong-login', 'Used up.'),
    });
    const page = await on.open('#login=once-only');
    await page.locator('tbody tr').first().waitFor();
    expect(page.url()).toBe(`${on.server.url}#/guests`);
    const second = await on.open('#login=used');
    await second.getByText('Used up.').waitFor();
    expect(second.url()).not.toContain('used');
  });

  inBrowser('is asked again where a session is over', async () => {
    const page = await on.open();
    on.answering({ 'GET status': () => refusal(401, 'login-needed', 'Log in first.') });
    on.server.tell('cycle', {});
    await page.getByText('Your session is over. Log in again.').waitFor();
  });
});
