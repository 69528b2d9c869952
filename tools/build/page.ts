import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build, type Metafile } from 'esbuild';

/**
 * The page as it is shipped: one file, HTML with its script and its style in it. The server allows
 * these two by their checksums, so nothing else may be inline.
 */

/** The page. Loaded by the daemon on the first request for it. */
export const WEB_FILE = 'lxc-autoscale-web.html';

const ROOM = 'src/web';

/** @param outdir is there already */
export async function buildPage(checkout: string, outdir: string): Promise<Metafile> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: checkout,
    entryPoints: { script: `${ROOM}/main.tsx`, style: `${ROOM}/style.css` },
    // Nothing is written but the page, so these names are never seen.
    outdir: 'page',
    bundle: true,
    platform: 'browser',
    target: 'es2022',
    format: 'iife',
    minify: true,
    define: { 'process.env.NODE_ENV': '"production"' },
    logLevel: 'warning',
    metafile: true,
    write: false,
  });
  const textOf = (name: string): string =>
    outputFiles.find(({ path }) => path.endsWith(name))?.text.trim() ?? '';
  const template = await readFile(join(checkout, ROOM, 'index.html'), 'utf8');
  const page = template
    .replace('/* style */', () => textOf('style.css'))
    .replace('/* script */', () => textOf('script.js'));
  await writeFile(join(outdir, WEB_FILE), page);
  return metafile;
}
