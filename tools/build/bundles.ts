import { join } from 'node:path';
import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild';
import { buildPage, WEB_FILE } from './page.ts';

/** The program as it is shipped: four files without `node_modules`. */

/** The daemon and the everyday commands. */
export const MAIN_FILE = 'lxc-autoscale.cjs';
/** Commands that a node seldom runs. Loaded by the main file from the directory it is in. */
export const LAB_FILE = 'lxc-autoscale-lab.cjs';
/** What answers over HTTP. Loaded by the main file with the first request. */
export const HTTP_FILE = 'lxc-autoscale-http.cjs';
export const FILES: readonly string[] = [MAIN_FILE, LAB_FILE, HTTP_FILE, WEB_FILE];

const NOT_BUNDLED = './tools/build/not-bundled.cjs';

/** Packages of packages that this program does not use, or that Node has itself. */
const IN_PLACE_OF: Readonly<Record<string, string>> = {
  'readable-stream': 'node:stream',
  'readable-stream/lib/_stream_writable.js': './tools/build/node-writable.cjs',
  '@colors/colors': NOT_BUNDLED,
  '@colors/colors/safe': NOT_BUNDLED,
  'async/forEach': NOT_BUNDLED,
  'async/series': NOT_BUNDLED,
  fecha: NOT_BUNDLED,
  'safe-stable-stringify': NOT_BUNDLED,
  'web-streams-polyfill/dist/ponyfill.es2018.js': NOT_BUNDLED,
  // Packages of one file, of which nothing can be left out, that have a form in parts besides.
  'js-yaml': './node_modules/js-yaml/index.js',
  luxon: './node_modules/luxon/src/luxon.js',
  // Durations are said by execa only where it says something on the screen.
  'pretty-ms': NOT_BUNDLED,
};

/** Files of packages that nothing leads to in what this program asks of them. */
const LEFT_OUT: readonly RegExp[] = [
  // Programs are waited for, and said nothing about on the screen.
  /^execa\/lib\/(methods\/main-sync|verbose\/default)\.js$/,
  // YAML is read, never written, and by the schema that takes every value for text.
  /^js-yaml\/lib\/(dumper|schema\/(json|core|default)|type\/(?!str|seq|map)\w+)(\.js)?$/,
  // A log goes to streams of ours.
  /^winston\/lib\/winston\/(transports\/(console|file|http)|profiler|tail-file)(\.js)?$/,
  /^logform\/(?!index|format|levels|colorize|package)[\w-]+(\.js)?$/,
  // cron-parser reckons with times, and neither reads nor writes them.
  /^luxon\/src\/(info|interval)\.js$/,
  /^luxon\/src\/impl\/(diff|english|formats|formatter|regexParser|tokenParser)\.js$/,
  // Answers are texts; messages have no attachments.
  /^node-fetch\/src\/utils\/multipart-parser\.js$/,
  /^nodemailer\/lib\/fetch$/,
];

const partsLeftOut: Plugin = {
  name: 'parts-left-out',
  setup({ onResolve, initialOptions }) {
    const stub = join(initialOptions.absWorkingDir ?? '.', NOT_BUNDLED);
    onResolve({ filter: /^\./ }, ({ path, resolveDir }) => {
      const [, file] = /.*\/node_modules\/(.*)$/.exec(join(resolveDir, path)) ?? [];
      const isLeftOut = file !== undefined && LEFT_OUT.some((pattern) => pattern.test(file));
      return isLeftOut ? { path: stub } : undefined;
    });
  },
};

/** What the main file loads from a file beside it: its source, and that file. */
const APART: readonly (readonly [source: RegExp, file: string])[] = [
  [/\/lab-commands\.ts$/, LAB_FILE],
  [/^\.\/app\.ts$/, HTTP_FILE],
];

const filesApart: Plugin = {
  name: 'files-apart',
  setup({ onResolve }) {
    for (const [filter, file] of APART) {
      onResolve({ filter }, ({ kind }) =>
        kind === 'dynamic-import' ? { path: `./${file}`, external: true } : undefined,
      );
    }
  },
};

const OPTIONS = {
  entryPoints: {
    'lxc-autoscale': 'src/main.ts',
    'lxc-autoscale-lab': 'src/cli/lab-commands.ts',
    'lxc-autoscale-http': 'src/app/http/app.ts',
  },
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  target: 'node18.19',
  format: 'cjs',
  minify: true,
  // A stack trace in a report shall be readable.
  keepNames: true,
  lineLimit: 160,
  define: { 'process.env.NODE_ENV': '"production"' },
  alias: { ...IN_PLACE_OF },
  plugins: [filesApart, partsLeftOut],
  logLevel: 'warning',
  metafile: true,
} as const satisfies BuildOptions;

/** @param outdir is created; the files in it are replaced */
export async function buildBundles(checkout: string, outdir: string): Promise<Metafile> {
  const { metafile } = await build({ ...OPTIONS, absWorkingDir: checkout, outdir });
  const page = await buildPage(checkout, outdir);
  return {
    inputs: { ...metafile.inputs, ...page.inputs },
    outputs: { ...metafile.outputs, ...page.outputs },
  };
}

/** One file of `src` as it is in the bundles, with what it exports. */
export async function buildAlone(
  checkout: string,
  entryPoint: string,
  outfile: string,
): Promise<void> {
  const options = { ...OPTIONS, entryPoints: [entryPoint], outExtension: {} };
  await build({ ...options, absWorkingDir: checkout, outfile });
}
