import { isIP } from 'node:net';
import * as z from 'zod/mini';
import { type FoundNode, MOST_FOUND } from '../core/found-nodes.ts';
import { NODE_NAME } from '../core/node-name.ts';
import { present, type Reading } from '../core/reading.ts';
import { milliseconds } from '../core/units.ts';
import type { Sysroot } from '../os/sysroot.ts';
import { createStateFile } from './state-file.ts';

/** The file in which the nodes that were found are kept, and for how long each was seen. */

const FILE = '/var/lib/lxc_autoscale/found-nodes.json';

const schema = z.object({
  format: z.literal(1),
  nodes: z
    .array(
      z.object({
        name: z.string().check(z.regex(NODE_NAME)),
        by: z.string().check(z.maxLength(63)),
        host: z.optional(z.string().check(z.refine((host) => isIP(host) !== 0))),
        seenMs: z.number().check(z.gte(0)),
      }),
    )
    .check(z.maxLength(MOST_FOUND)),
});

/** None if there is no such file; missing if it is not understood. */
export function readFoundNodes(paths: Sysroot): Reading<readonly FoundNode[]> {
  const file = createStateFile(paths, FILE).read();
  if (!file.ok) return file.why === 'absent' ? present([]) : file;
  const parsed = schema.safeParse(file.value);
  if (!parsed.success) {
    const detail = `${paths.at(FILE)}: it is not understood`;
    return { ok: false, why: 'malformed', detail };
  }
  const nodes = parsed.data.nodes.map(({ name, by, host, seenMs }): FoundNode => {
    return { name, by, ...(host !== undefined && { host }), seenMs: milliseconds(seenMs) };
  });
  return present(nodes);
}

/** Returns what went wrong, undefined if nothing did. */
export const writeFoundNodes = (paths: Sysroot, nodes: readonly FoundNode[]): string | undefined =>
  createStateFile(paths, FILE).write({ format: 1, nodes });
