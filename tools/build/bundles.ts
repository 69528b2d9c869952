import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild';
import { buildPage, WEB_FILE } from './page.ts';
import { cut, inputsOf, putTogether } from './pieces.ts';

/**
 * The program as it is shipped: a few files without `node_modules`, with no line in two of them.
 * esbuild cuts the program into pieces where it is loaded on demand (`import()`); the pieces are
 * put together to files then, by what needs them.
 */

/** The daemon of a node. Whatever changes a guest of it is in here: it acts without other files. */
export const MAIN_FILE = 'lxc-autoscale.cjs';
/** Everyday commands, and what a daemon loads if its configuration asks for it. */
export const MORE_FILE = 'lxc-autoscale-more.cjs';
/** Commands that a node seldom runs. */
export const LAB_FILE = 'lxc-autoscale-lab.cjs';
/** What answers over HTTP. Loaded with the first request. */
export const HTTP_FILE = 'lxc-autoscale-http.cjs';
/** Times by cron expressions. Loaded if a configuration names one. */
export const CRON_FILE = 'lxc-autoscale-cron.cjs';
const PROGRAM = { main: MAIN_FILE, more: MORE_FILE, lab: LAB_FILE, http: HTTP_FILE };
export const FILES: readonly string[] = [...Object.values(PROGRAM), CRON_FILE, WEB_FILE];

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
};

/** Files of packages that nothing leads to in what this program asks of them. */
const LEFT_OUT: readonly RegExp[] = [
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

/** A package that is asked for by `require()`, since nothing may be waited for there. */
const cronApart: Plugin = {
  name: 'cron-apart',
  setup({ onResolve }) {
    onResolve({ filter: /^cron-parser$/ }, ({ kind }) =>
      kind === 'require-call' ? { path: `./${CRON_FILE}`, external: true } : undefined,
    );
  },
};

const FROM_SOURCES = {
  bundle: true,
  platform: 'node',
  target: 'node18.19',
  define: { 'process.env.NODE_ENV': '"production"' },
  alias: { ...IN_PLACE_OF },
  logLevel: 'warning',
  metafile: true,
} as const satisfies BuildOptions;

const SHIPPED = {
  format: 'cjs',
  target: FROM_SOURCES.target,
  minify: true,
  // A stack trace in a report shall be readable.
  keepNames: true,
  lineLimit: 160,
} as const satisfies BuildOptions;

/** @param outdir is created; the files in it are replaced */
export async function buildBundles(checkout: string, outdir: string): Promise<Metafile> {
  const target = resolve(checkout, outdir);
  await mkdir(target, { recursive: true });
  const pieces = await cut(
    { ...FROM_SOURCES, absWorkingDir: checkout, plugins: [cronApart, partsLeftOut] },
    PROGRAM,
  );
  const outputs: Metafile['outputs'] = {};
  for (const file of Object.values(PROGRAM)) {
    const { text, output } = await putTogether(file, pieces, SHIPPED);
    await writeFile(join(target, file), text, { mode: file === PROGRAM.main ? 0o755 : 0o644 });
    outputs[file] = { ...output, inputs: inputsOf(output, pieces) };
  }
  const cron = await build({
    ...FROM_SOURCES,
    ...SHIPPED,
    absWorkingDir: checkout,
    entryPoints: ['cron-parser'],
    plugins: [partsLeftOut],
    outfile: join(target, CRON_FILE),
  });
  const page = await buildPage(checkout, target);
  const parts = [pieces.metafile, cron.metafile, page];
  return {
    inputs: Object.assign({}, ...parts.map(({ inputs }) => inputs)),
    outputs: { ...outputs, ...cron.metafile.outputs, ...page.outputs },
  };
}

/** One file of `src` as it is in the bundles, with what it exports. */
export async function buildAlone(
  checkout: string,
  entryPoint: string,
  outfile: string,
): Promise<void> {
  const plugins = [partsLeftOut];
  const options = { ...FROM_SOURCES, ...SHIPPED, absWorkingDir: checkout, plugins };
  await build({ ...options, entryPoints: [entryPoint], outfile });
}
