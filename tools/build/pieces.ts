import { createHash } from 'node:crypto';
import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild';

/** The program in pieces, as esbuild cuts it where something is loaded on demand, and files. */

export interface Pieces {
  readonly metafile: Metafile;
  /** By the path of a piece, as `pieces/chunk-ABC.js`. */
  readonly textOf: ReadonlyMap<string, string>;
  /** The file that a piece goes to. */
  readonly fileOf: ReadonlyMap<string, string>;
  readonly mainFile: string;
  /** Which pieces are evaluated when the main file starts. */
  readonly atStart: ReadonlySet<string>;
  /** Of all texts: files of two builds are not put together to one program. */
  readonly id: string;
}

/** The names of the files. */
export interface Files {
  readonly main: string;
  readonly more: string;
  readonly lab: string;
  readonly http: string;
}

const START = 'src/main.ts';
/** Loaded on demand, and in the main file all the same: the history is recorded by default. */
const IN_MAIN = ['src/app/usage-keeper.ts'];
const LAB = 'src/cli/lab-commands.ts';
const HTTP = 'src/app/http/app.ts';

const DIRECTORY = 'pieces';

export async function cut(options: BuildOptions, files: Files): Promise<Pieces> {
  const { metafile, outputFiles = [] } = await build({
    ...options,
    entryPoints: [START],
    outdir: DIRECTORY,
    format: 'esm',
    splitting: true,
    metafile: true,
    write: false,
  });
  const textOf = new Map<string, string>();
  for (const { path, text } of outputFiles) {
    // In a module esbuild writes `__require()` for `require()`. What is built of it is no module.
    const written = text.replaceAll('__require(', 'require(');
    textOf.set(path.slice(path.lastIndexOf(`${DIRECTORY}/`)), written);
  }
  const hash = createHash('sha256');
  for (const text of [...textOf.values()].sort()) hash.update(text);
  const id = hash.digest('hex').slice(0, 16);
  return { metafile, textOf, mainFile: files.main, id, ...assign(metafile, files) };
}

/** Each piece goes to one file: that of the parts of the program which need it. */
function assign({ outputs }: Metafile, files: Files): Pick<Pieces, 'fileOf' | 'atStart'> {
  const pieceOf = (source: string): string => {
    const found = Object.entries(outputs).find(([, { entryPoint }]) => entryPoint === source);
    if (found === undefined) throw new Error(`nothing loads ${source} on demand any more`);
    return found[0];
  };
  const reached = (from: readonly string[], { lazy, but = [] }: Reach): ReadonlySet<string> => {
    const found = new Set(from);
    for (const piece of found) {
      for (const { path, kind } of outputs[piece]?.imports ?? []) {
        const isFollowed = outputs[path] !== undefined && (lazy || kind !== 'dynamic-import');
        if (isFollowed && !but.includes(path)) found.add(path);
      }
    }
    return found;
  };
  const [lab, http] = [pieceOf(LAB), pieceOf(HTTP)];
  const atStart = reached([pieceOf(START)], { lazy: false });
  const inMain = reached([pieceOf(START), ...IN_MAIN.map(pieceOf)], { lazy: false });
  const ofDaemon = reached([...inMain], { lazy: true, but: [lab, http] });
  const ofHttp = reached([http], { lazy: true, but: [lab] });
  const ofLab = reached([lab], { lazy: true, but: [http] });
  const fileOf = new Map<string, string>();
  for (const piece of Object.keys(outputs)) {
    const isShared = ofDaemon.has(piece) || (ofHttp.has(piece) && ofLab.has(piece));
    const apart = ofHttp.has(piece) ? files.http : files.lab;
    fileOf.set(piece, inMain.has(piece) ? files.main : isShared ? files.more : apart);
  }
  return { fileOf, atStart };
}

interface Reach {
  /** Whether also by what is loaded on demand. */
  readonly lazy: boolean;
  readonly but?: readonly string[];
}

/** One file of the program: its own pieces, and a way to those of the other files. */
export async function putTogether(file: string, pieces: Pieces, options: BuildOptions) {
  const { metafile, outputFiles } = await build({
    ...options,
    bundle: true,
    platform: 'node',
    logLevel: 'warning',
    stdin: { contents: entryOf(file, pieces), resolveDir: '/', loader: 'js' },
    banner: { js: file === pieces.mainFile ? '#!/usr/bin/env -S node --' : '' },
    outfile: `/${file}`,
    plugins: [inPieces(file, pieces)],
    metafile: true,
    write: false,
  });
  const [text] = outputFiles.map((one) => one.text);
  const [output] = Object.values(metafile.outputs);
  if (text === undefined || output === undefined) throw new Error(`${file} was not built`);
  return { text, output };
}

/** What starts in the file, and what other files may ask it for. */
function entryOf(file: string, { metafile, fileOf, atStart, id }: Pieces): string {
  const lines = [`export const build = ${JSON.stringify(id)};`];
  const given: string[] = [];
  for (const piece of askedFor(file, { metafile, fileOf })) {
    const name = JSON.stringify(piece);
    if (atStart.has(piece)) {
      const variable = `p${given.length}`;
      lines.push(`import * as ${variable} from ${name};`);
      given.push(`${name}: ${variable},`);
    } else {
      given.push(`get ${name}() { return require(${name}); },`);
    }
  }
  for (const [piece, { entryPoint }] of Object.entries(metafile.outputs)) {
    if (entryPoint === START && fileOf.get(piece) === file) {
      lines.push(`import ${JSON.stringify(piece)};`);
    }
  }
  return [...lines, `export const pieces = {${given.join('\n')}};`].join('\n');
}

/** The pieces of a file that pieces of other files import. */
function askedFor(file: string, { metafile, fileOf }: Pick<Pieces, 'metafile' | 'fileOf'>) {
  const asked = new Set<string>();
  for (const [piece, { imports }] of Object.entries(metafile.outputs)) {
    if (fileOf.get(piece) === file) continue;
    for (const { path } of imports) if (fileOf.get(path) === file) asked.add(path);
  }
  return asked;
}

function inPieces(file: string, { textOf, fileOf, id }: Pieces): Plugin {
  return {
    name: 'in-pieces',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\.\/|^pieces\/|^beside:/ }, ({ path, namespace: by }) => {
        if (by === 'beside') return { path, external: true };
        const [, other] = /^(?:beside:|\.\/)(.*\.cjs)$/.exec(path) ?? [];
        if (other !== undefined) return { path: other, namespace: 'beside' };
        const piece = path.replace(/^\.\//, `${DIRECTORY}/`);
        return { path: piece, namespace: fileOf.get(piece) === file ? 'here' : 'elsewhere' };
      });
      onLoad({ filter: /./, namespace: 'here' }, ({ path }) => {
        const contents = textOf.get(path);
        if (contents === undefined) throw new Error(`there is no piece ${path}`);
        return { contents };
      });
      onLoad({ filter: /./, namespace: 'elsewhere' }, ({ path }) => ({
        contents: `module.exports = require('beside:${fileOf.get(path)}')['${path}'];`,
      }));
      onLoad({ filter: /./, namespace: 'beside' }, ({ path }) => {
        const isOfPieces = [...fileOf.values()].includes(path);
        return { contents: besides(path, isOfPieces ? id : undefined) };
      });
    },
  };
}

/**
 * Loads another file of the program.
 * @param id of the build that it must be of, whose pieces it has; undefined: it is a package
 */
const besides = (file: string, id: string | undefined): string => `
  const fault = (why) => Object.assign(
    new Error(__dirname + '/${file} ' + why + '; install the same release again'),
    { name: 'InstallationError' },
  );
  let found;
  try {
    found = require('./${file}');
  } catch (error) {
    const isMissing = error.code === 'MODULE_NOT_FOUND';
    throw fault(isMissing ? 'is missing' : 'cannot be loaded: ' + error.message);
  }
  ${id === undefined ? WHOLE : partOf(id)}`;

const WHOLE = 'module.exports = found;';
const partOf = (id: string): string => `
  if (found.build !== '${id}') throw fault('is of another release than this program');
  module.exports = found.pieces;`;

/** The sources in a file: each with its part of the pieces that are there. */
export function inputsOf(
  output: Metafile['outputs'][string],
  { metafile }: Pieces,
): Metafile['outputs'][string]['inputs'] {
  const inputs: Record<string, { bytesInOutput: number }> = {};
  for (const [name, { bytesInOutput: bytes }] of Object.entries(output.inputs)) {
    const sources = Object.entries(metafile.outputs[name.replace(/^here:/, '')]?.inputs ?? {});
    const whole = sources.reduce((sum, [, one]) => sum + one.bytesInOutput, 0);
    for (const [source, one] of sources) {
      const share = Math.round((bytes * one.bytesInOutput) / whole);
      inputs[source] = { bytesInOutput: (inputs[source]?.bytesInOutput ?? 0) + share };
    }
  }
  return inputs;
}
