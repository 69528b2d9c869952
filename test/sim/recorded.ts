import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The recordings of a real node, which lie beside the repository and not in it. */

export const SHARED = fileURLToPath(new URL('../../../shared', import.meta.url));
export const hasShared = existsSync(join(SHARED, 'pve/recorded'));
export const FIXTURE = join(SHARED, 'pve/sysroot-pve8');

export interface Step {
  readonly argv: readonly string[];
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly note?: string;
}

export function steps(name: string): Step[] {
  const text = readFileSync(join(SHARED, `pve/recorded/${name}.jsonl`), 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Step => JSON.parse(line));
}

/** A text with what differs from node to node made equal: numbers, hardware addresses, gaps. */
export const shape = (text: string): string =>
  text
    .replace(/\b(?:[0-9A-F]{2}:){5}[0-9A-F]{2}\b/g, 'MAC')
    .replace(/\b[0-9A-F]{8}(?::[0-9A-F]{8})+\b/g, 'STAMP')
    .replace(/\d+(?:[.,:]\d+)*/g, '0')
    .replace(/0(?:, 0)+/g, '0')
    .replace(/[ \t]+/g, ' ');

/** What a JSON value is made of: keys and types, objects of a list each by its own. */
export function jsonShape(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(jsonShape);
  if (typeof value !== 'object' || value === null) return typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, jsonShape(inner)]));
}

/** Directories that are gone after the test. */
export class Scratch {
  readonly #made: string[] = [];

  directory(): string {
    const made = mkdtempSync(join(tmpdir(), 'node-'));
    this.#made.push(made);
    return made;
  }

  clear(): void {
    for (const made of this.#made) rmSync(made, { recursive: true, force: true });
  }
}
