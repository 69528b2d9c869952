import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { readPage } from './page-server.ts';

/** What a first look costs, and that nothing of it comes from elsewhere. */

const MOST_BYTES = 100_000;

it('is one file of less than 100 KB, compressed', async () => {
  expect(gzipSync(await readPage()).length).toBeLessThan(MOST_BYTES);
});

it('has one script and one style, and nothing inline that a strict policy refuses', async () => {
  const page = await readPage();
  const markup = page.replace(/<(script|style)>[\s\S]*?<\/\1>/g, '<$1></$1>');
  expect(markup.match(/<script>/g)).toHaveLength(1);
  expect(markup.match(/<style>/g)).toHaveLength(1);
  expect(markup).not.toMatch(/\sstyle=|\son\w+=|<base|<iframe|javascript:/i);
});

it('names no address but its own', async () => {
  const page = await readPage();
  const addresses = page.match(/(?:https?:|["'`(=])\/\/[\w.-]+\.\w+[^\s"'`)]*/g) ?? [];
  // Names of vocabularies, which nobody asks for.
  expect(addresses.filter((address) => !address.includes('//www.w3.org/'))).toEqual([]);
});
