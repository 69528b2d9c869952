import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild';

/** The program as it is shipped: two files without `node_modules`. */

/** The daemon and the everyday commands. */
export const MAIN_FILE = 'lxc-autoscale.cjs';
/** Commands that a node seldom runs. Loaded by the main file from the directory it is in. */
export const LAB_FILE = 'lxc-autoscale-lab.cjs';
export const FILES: readonly string[] = [MAIN_FILE, LAB_FILE];

const NOT_BUNDLED = './src/report/not-bundled.cjs';

/** Parts of packages that this program does not use, or that Node has itself. */
const IN_PLACE_OF: Readonly<Record<string, string>> = {
  'readable-stream': 'node:stream',
  'readable-stream/lib/_stream_writable.js': './src/report/node-writable.cjs',
  '@colors/colors': NOT_BUNDLED,
  '@colors/colors/safe': NOT_BUNDLED,
  'async/forEach': NOT_BUNDLED,
  'async/series': NOT_BUNDLED,
  fecha: NOT_BUNDLED,
  'safe-stable-stringify': NOT_BUNDLED,
  'web-streams-polyfill/dist/ponyfill.es2018.js': NOT_BUNDLED,
};

/** `import('./cli/lab-commands.ts')` loads the second file. */
const labApart: Plugin = {
  name: 'lab-apart',
  setup({ onResolve }) {
    onResolve({ filter: /\/lab-commands\.ts$/ }, ({ kind }) =>
      kind === 'entry-point' ? undefined : { path: `./${LAB_FILE}`, external: true },
    );
  },
};

const OPTIONS = {
  entryPoints: { 'lxc-autoscale': 'src/main.ts', 'lxc-autoscale-lab': 'src/cli/lab-commands.ts' },
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
  plugins: [labApart],
  logLevel: 'warning',
  metafile: true,
} as const satisfies BuildOptions;

/** @param outdir is created; the files in it are replaced */
export async function buildBundles(checkout: string, outdir: string): Promise<Metafile> {
  const built = await build({ ...OPTIONS, absWorkingDir: checkout, outdir });
  return built.metafile;
}
