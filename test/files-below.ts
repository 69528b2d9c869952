import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The paths of all files below a directory, relative to it and sorted; neither directories nor
 * sockets nor links. By itself, since `readdirSync` with `recursive` enters a socket on Node 18.
 */
export function filesBelow(directory: string): string[] {
  const names = readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const { name } = entry;
    if (!entry.isDirectory()) return entry.isFile() ? [name] : [];
    return filesBelow(join(directory, name)).map((inner) => join(name, inner));
  });
  return names.sort();
}
