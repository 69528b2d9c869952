import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ownPackage from '../../package.json';
import { readBundle } from './bundle.ts';
import { bashCompletion, zshCompletion } from './completions.ts';
import { jsonSchema } from './json-schema.ts';
import { manPage } from './man-page.ts';
import { notice } from './notice.ts';
import { PAGES, withTables } from './pages.ts';
import { openApiText } from './routes.ts';
import { withNewKeys } from './sample.ts';
import { sbom } from './sbom.ts';

/**
 * `npm run docs`: what is made of the help, of the schema and of the bundle, into dist/share.
 * `npm run docs:write` puts those of them in place that are in the repository as well.
 */

const target = process.argv[2] ?? 'dist/share';

/** Of SOURCE_DATE_EPOCH, so that the same sources give the same bytes; else none. */
const epoch = process.env['SOURCE_DATE_EPOCH'];
const date = epoch === undefined ? '' : new Date(Number(epoch) * 1000).toISOString().slice(0, 10);

const bundle = await readBundle(process.cwd());

const files: Readonly<Record<string, string>> = {
  'lxc_autoscale.schema.json': `${JSON.stringify(jsonSchema(), null, 2)}\n`,
  'lxc-autoscale.1': manPage(ownPackage.version, date),
  'lxc_autoscale.yaml': withNewKeys(readFileSync('lxc_autoscale.yaml', 'utf8')),
  'docs/openapi.json': openApiText(ownPackage.version),
  NOTICE: notice(bundle),
  'lxc-autoscale.cdx.json': `${JSON.stringify(sbom(bundle, ownPackage), null, 2)}\n`,
  'completions/lxc-autoscale.bash': bashCompletion(),
  'completions/_lxc-autoscale': zshCompletion(),
  ...Object.fromEntries(
    PAGES.map((page) => [`docs/${page}`, withTables(readFileSync(`docs/${page}`, 'utf8'))]),
  ),
};

for (const [name, text] of Object.entries(files)) {
  const path = join(target, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
