import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';
import { buildBundles, CRON_FILE, FILES } from '../build/bundles.ts';

/** What of other people's code is in the files that are shipped, as esbuild itself reports it. */

export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** As SPDX names it, e.g. `MIT`. */
  readonly licence: string;
  /** The text that has to go with every copy. */
  readonly licenceText: string;
  /** SHA-512 of the package as it was downloaded, in base64; undefined where no lock knows it. */
  readonly sha512: string | undefined;
  /** How much of the files is from it, of all together. */
  readonly bytes: number;
  /** The bundled packages that it imports, as `name@version`. */
  readonly imports: readonly string[];
}

export interface Bundle {
  /** In the order of their names. */
  readonly packages: readonly BundledPackage[];
  /** Those that the program itself imports. */
  readonly imports: readonly string[];
  /** The main file first. */
  readonly files: readonly BundleFile[];
}

export interface BundleFile {
  readonly name: string;
  /** In hexadecimal. */
  readonly sha256: string;
}

export const idOf = ({ name, version }: Pick<BundledPackage, 'name' | 'version'>): string =>
  `${name}@${version}`;

interface PackageJson {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly integrity?: string }>>;
}

const readJson = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));

/** Builds the program as `npm run build` does, beside what is in `dist`. */
export async function readBundle(checkout: string): Promise<Bundle> {
  const scratch = mkdtempSync(join(tmpdir(), 'lxc-autoscale-bundle-'));
  try {
    const metafile = await buildBundles(checkout, scratch);
    const files = FILES.map((name) => {
      // What is shipped; two builds of the same sources may differ in names.
      const shipped = join(checkout, 'dist', name);
      const content = readFileSync(existsSync(shipped) ? shipped : join(scratch, name));
      return { name, sha256: createHash('sha256').update(content).digest('hex') };
    });
    return { ...takenApart(checkout, metafile), files };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** What that file is built from. */
const CRON_PARSER = 'node_modules/cron-parser/package.json';

/** The directory of the package that a file is in, also where `node_modules` is a link. */
const directoryOf = (file: string): string | undefined =>
  /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1];

function takenApart(checkout: string, { inputs, outputs }: Metafile): Omit<Bundle, 'files'> {
  const bytesOf = new Map<string, number>();
  for (const output of Object.values(outputs)) {
    for (const [file, { bytesInOutput }] of Object.entries(output.inputs)) {
      bytesOf.set(file, (bytesOf.get(file) ?? 0) + bytesInOutput);
    }
  }
  const lock = readJson(join(checkout, 'package-lock.json')) as Lock;
  const found = new Map<string, BundledPackage>();
  const imports = new Map<string, Set<string>>();
  const idIn = (directory: string): string =>
    idOf(readJson(join(checkout, directory, 'package.json')) as PackageJson);
  const bundled = new Set(
    [...bytesOf].flatMap(([file, bytes]) => (bytes > 0 ? file : [])).map(directoryOf),
  );
  for (const [file, bytes] of bytesOf) {
    const directory = directoryOf(file);
    const id = directory === undefined ? '' : idIn(directory);
    const own = imports.get(id) ?? new Set();
    imports.set(id, own);
    for (const { path } of inputs[file]?.imports ?? []) {
      const other = directoryOf(path === `./${CRON_FILE}` ? CRON_PARSER : path);
      if (other !== undefined && other !== directory && bundled.has(other)) own.add(idIn(other));
    }
    if (directory === undefined) continue;
    if (bytes === 0) continue;
    const before = found.get(id)?.bytes ?? 0;
    found.set(id, { ...describe(checkout, directory, lock), bytes: before + bytes });
  }
  const sorted = [...found].sort(([a], [b]) => (a < b ? -1 : 1));
  const importsOf = (id: string): readonly string[] => [...(imports.get(id) ?? [])].sort();
  return {
    packages: sorted.map(([id, one]) => ({ ...one, imports: importsOf(id) })),
    imports: importsOf(''),
  };
}

function describe(
  checkout: string,
  directory: string,
  { packages }: Lock,
): Omit<BundledPackage, 'bytes' | 'imports'> & { imports: readonly string[] } {
  const place = join(checkout, directory);
  const { name, version, license } = readJson(join(place, 'package.json')) as PackageJson;
  if (license === undefined) throw new Error(`${name} names no licence`);
  const locked = packages[directory.slice(directory.indexOf('node_modules/'))]?.integrity;
  return {
    name,
    version,
    licence: license,
    licenceText: licenceTextIn(place),
    sha512: /^sha512-(.*)$/.exec(locked ?? '')?.[1],
    imports: [],
  };
}

/** Of its files, or of the end of its README where it has it there. */
function licenceTextIn(directory: string): string {
  const names = readdirSync(directory).sort();
  const files = names.filter((name) => /^(licen[cs]e|copying|notice)(\.|$)/i.test(name));
  const texts = files.map((name) => readFileSync(join(directory, name), 'utf8'));
  if (texts.length > 0) return tidied(texts.join('\n\n'));
  const readme = names.find((name) => /^readme/i.test(name));
  const text = readme === undefined ? '' : readFileSync(join(directory, readme), 'utf8');
  const [, own] = /^(?:#+ *licen[cs]e|licen[cs]e\n-+)\n([\s\S]*)$/im.exec(text) ?? [];
  if (own === undefined || !/copyright/i.test(own)) {
    throw new Error(`${directory} brings no text of its licence`);
  }
  return tidied(own);
}

const tidied = (text: string): string =>
  text
    .replaceAll('\r\n', '\n')
    .replace(/[ \t]+$/gm, '')
    .replace(/^\n+|\n+$/g, '');
