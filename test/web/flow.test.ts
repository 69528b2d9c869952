import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { afterEach, expect } from 'vitest';
import { GroupUnderTest } from '../e2e/group-under-test.ts';
import { BUNDLE } from '../e2e/node-under-test.ts';
import { freePort } from '../free-port.ts';
import { inBrowser, stage, textOf } from './browser.ts';

/** The page on the real daemon, on a simulated node: from the link to the end of the session. */

const on = stage();
const running: ChildProcess[] = [];
const directories: string[] = [];

afterEach(async () => {
  for (const child of running.splice(0)) {
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
  }
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

/** The link that logs in once. */
async function demo(): Promise<string> {
  const args = [BUNDLE, 'demo', '--http', '--duration', '15m'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  running.push(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said += String(chunk);
    });
  }
  await expect.poll(() => said).toMatch(/http:\S+#login=\S+\s/);
  directories.push(...(/(?<=Everything is in )\S+/.exec(said) ?? []));
  return /http:\S+/.exec(said)?.[0] ?? '';
}

inBrowser(
  'logs in, sees why, pauses, changes by hand, takes it back, goes on, logs out',
  async () => {
    const page = await on.openAt(await demo());
    await page.getByRole('link', { name: 'intranet' }).click();
    await page.getByRole('heading', { name: '104 intranet' }).waitFor();
    await expect.poll(() => textOf(page, '.steps')).toMatch(/Memory .*(Hold|Shrink) /);

    const press = (name: string) => page.getByRole('button', { name, exact: true }).click();
    const dialog = page.getByRole('dialog');
    const carryOut = async (name: string): Promise<string> => {
      await dialog.getByRole('button', { name, exact: true }).click();
      await dialog.locator('.good').waitFor();
      const says = await textOf(page, 'dialog .good');
      await dialog.getByRole('button', { name: 'Close' }).click();
      return says;
    };
    await press('Pause');
    expect(await carryOut('Pause')).toContain('104');
    await expect.poll(() => textOf(page, '.guest-now')).toMatch(/^paused \d+ min$/);

    await press('Change');
    await dialog.getByRole('radio', { name: 'Memory' }).check();
    await dialog.getByLabel('Memory in MB').fill('13000');
    expect(await carryOut('Apply')).toMatch(/memory \d+ → 13000 MB/);
    await expect.poll(() => textOf(page, '.history tbody tr:first-child')).toContain('12.7 GB');
    await press('Undo last change');
    expect(await carryOut('Undo')).toMatch(/memory 13000 → \d+ MB/);
    await expect.poll(() => textOf(page, '.guest-now')).toMatch(/^on hold \d+ min$/);
    await press('Resume');
    await carryOut('Resume');
    await expect.poll(() => textOf(page, '.guest-now')).not.toContain('on hold');

    await press('Change');
    await dialog.getByLabel('Cores').fill('900');
    await dialog.locator('.bad').waitFor();
    expect(await dialog.getByRole('button', { name: 'Apply' }).isDisabled()).toBe(true);
    await page.keyboard.press('Escape');

    await press('Log out');
    await page.getByLabel('Token').waitFor();
    await page.reload();
    await page.getByLabel('Token').waitFor();
  },
);

inBrowser('sees a group, has it make a member more, and logs out', async () => {
  const port = await freePort();
  const keys = { min_instances: 1, scale_in_grace_period: 600 };
  const group = await GroupUnderTest.create(keys, {}, { http_listen: `127.0.0.1:${port}` });
  const daemon = group.start();
  await daemon.cycles(2);
  const { stdout } = await group.under.run(['dashboard']);
  const page = await on.openAt(/http:\S+#login=\S+/.exec(stdout)?.[0] ?? '');
  await page.getByRole('link', { name: 'Groups' }).click();
  const card = page.getByRole('region', { name: 'Group web' });
  await expect.poll(() => card.innerText()).toMatch(/1 in service/);
  await card.getByRole('button', { name: 'One more member of web' }).click();
  const dialog = page.getByRole('dialog');
  await expect.poll(() => dialog.innerText()).toContain('Group web: 1 → 2 members');
  await dialog.getByRole('button', { name: 'One more', exact: true }).click();
  await dialog.locator('.good').waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
  await expect.poll(() => card.innerText(), { timeout: 60_000 }).toMatch(/2 in service/);
  await expect.poll(() => card.getByRole('table').innerText()).toContain('99000');
  expect(group.inService()).toEqual([101, 99_000]);
  await page.getByRole('button', { name: 'Log out', exact: true }).click();
  await page.getByLabel('Token').waitFor();
});
