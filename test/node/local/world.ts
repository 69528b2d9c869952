import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach } from 'vitest';
import type { Vmid } from '../../../src/core/units.ts';
import { milliseconds, parseVmid } from '../../../src/core/units.ts';
import type { Clock } from '../../../src/node/port.ts';

/** Temporary trees that stand in for a node, and a clock that stands still until it is moved. */

const recorded = fileURLToPath(new URL('../../../../shared/pve/', import.meta.url));
export const RECORDED_SYSROOT = join(recorded, 'sysroot-pve8');
export const RECORDED_COMMANDS = join(recorded, 'recorded');

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) {
    rmSync(directory, { recursive: true, force: true });
  }
});

export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-host-'));
  directories.push(directory);
  return directory;
}

/** Writes files, path -> content, below a directory; what is missing on the way is made. */
export function plant(root: string, files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(root, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
}

/** A writable copy of the recorded node's tree (whose own files are read-only). */
export function copyRecordedSysroot(): string {
  const root = temporaryDirectory();
  copyTree(RECORDED_SYSROOT, root);
  return root;
}

function copyTree(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const source = join(from, entry.name);
    if (entry.isDirectory()) copyTree(source, join(to, entry.name));
    else writeFileSync(join(to, entry.name), readFileSync(source));
  }
}

export function vmid(id: number): Vmid {
  const parsed = parseVmid(String(id));
  if (parsed === undefined) throw new Error(`${id} is no vmid`);
  return parsed;
}

export interface ManualClock extends Clock {
  advance(ms: number): void;
}

export const REAL_CLOCK: Clock = {
  wallMs: () => milliseconds(Date.now()),
  monotonicMs: () => milliseconds(performance.now()),
};

/** Starts in the year 2030, so that files made by the tests are old. */
export function manualClock(wallMs = Date.UTC(2030, 0, 1)): ManualClock {
  let passedMs = 0;
  return {
    wallMs: () => milliseconds(wallMs + passedMs),
    monotonicMs: () => milliseconds(1000 + passedMs),
    advance: (ms) => {
      passedMs += ms;
    },
  };
}
