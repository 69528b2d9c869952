import { spawnSync } from 'node:child_process';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { PATIENCE_MS } from '../patience.ts';
import { type Answers, PageServer } from './page-server.ts';

/** A real Chromium, as Debian has it, with the page of a server that the test holds in its hand. */

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const found = NAMES.map((name) => spawnSync('which', [name], { encoding: 'utf8' }).stdout.trim());
const executable = found.find((path) => path !== '');

const NO_BROWSER = 'there is no headless browser (Debian: apt-get install chromium)';

/** A test that is skipped, with the reason, where there is no browser. */
export function inBrowser(name: string, test: () => Promise<void>): void {
  it(name, async (context) => {
    if (executable === undefined) context.skip(NO_BROWSER);
    await test();
  });
}

export interface Sight {
  readonly width?: number;
  readonly scheme?: 'light' | 'dark';
  /** Whether its time can be moved. */
  readonly clock?: boolean;
}

export interface Stage {
  readonly server: PageServer;
  /** Exchanges some of the usual answers. */
  answering(own: Answers): void;
  /** Opens a view in a new window, and waits until it has a heading. */
  open(hash?: string, sight?: Sight): Promise<Page>;
  /** The same of another server. */
  openAt(address: string, sight?: Sight): Promise<Page>;
}

/** What must come to be so, on a busy machine too. */

/** What a person sees of a view, with the spaces as they are read. */
export const textOf = async (page: Page, selector = 'main'): Promise<string> =>
  (await page.locator(selector).innerText()).replace(/\s+/g, ' ');

/** For one file of tests: a browser for all of them, and a server for each. */
export function stage(prefix = '/'): Stage {
  let browser: Browser | undefined;
  let server = new PageServer(prefix);
  const contexts: BrowserContext[] = [];
  const complaints: string[] = [];

  beforeAll(async () => {
    if (executable === undefined) return;
    browser = await chromium.launch({ executablePath: executable, args: ['--no-sandbox'] });
  });
  afterAll(() => browser?.close());
  afterEach(async () => {
    for (const context of contexts.splice(0)) await context.close();
    await server.stop();
    server = new PageServer(prefix);
    // An error in a script, and whatever the policy for contents refuses.
    expect(complaints.splice(0)).toEqual([]);
  });

  return {
    get server() {
      return server;
    },
    answering(own) {
      server.answers = { ...server.answers, ...own };
    },
    async open(hash = '#/guests', sight = {}) {
      if (!server.isUp) await server.start();
      return this.openAt(server.url + hash, sight);
    },
    async openAt(address, { width = 1280, scheme = 'light', clock = false } = {}) {
      if (browser === undefined) throw new Error('no browser');
      const viewport = { width, height: 900 };
      const context = await browser.newContext({ viewport, colorScheme: scheme });
      context.setDefaultTimeout(PATIENCE_MS);
      contexts.push(context);
      const page = await context.newPage();
      if (clock) await page.clock.install();
      const own = new URL('.', address).href;
      page.on('pageerror', ({ message }) => complaints.push(message));
      page.on('console', (said) => {
        if (/Content Security Policy/.test(said.text())) complaints.push(said.text());
      });
      page.on('request', (request) => {
        if (!request.url().startsWith(own)) complaints.push(`asked for ${request.url()}`);
      });
      await page.goto(address);
      await page.locator('h1').first().waitFor({ state: 'attached' });
      return page;
    },
  };
}
