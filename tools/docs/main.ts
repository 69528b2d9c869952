import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { version } from '../../package.json';
import { bashCompletion, zshCompletion } from './completions.ts';
import { jsonSchema } from './json-schema.ts';
import { manPage } from './man-page.ts';

/** `npm run docs`: what is made of the help and of the schema, into dist/share. */

const target = process.argv[2] ?? 'dist/share';

/** Of SOURCE_DATE_EPOCH, so that the same sources give the same bytes; else none. */
const epoch = process.env['SOURCE_DATE_EPOCH'];
const date = epoch === undefined ? '' : new Date(Number(epoch) * 1000).toISOString().slice(0, 10);

const files: Readonly<Record<string, string>> = {
  'lxc_autoscale.schema.json': `${JSON.stringify(jsonSchema(), null, 2)}\n`,
  'lxc-autoscale.1': manPage(version, date),
  'completions/lxc-autoscale.bash': bashCompletion(),
  'completions/_lxc-autoscale': zshCompletion(),
};

for (const [name, text] of Object.entries(files)) {
  const path = join(target, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
