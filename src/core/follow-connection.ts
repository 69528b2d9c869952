import { CONNECTIONS, type Connection, type ConnectionName, otherThan } from './connection.ts';
import { endLife, type GuestRecord, renewLife } from './guest-record.ts';
import type { LoopState } from './loop-state.ts';
import type { CgroupSample } from './observation.ts';

/**
 * Another connection has other figures: a working set by SSH, what is in use by the API. So they
 * never meet. What was learnt by the one is put aside until it is used again; rates, averages and
 * what the node can do are found anew.
 *
 * @returns whether the connection is another one than before
 */
export function followConnection(state: LoopState, now: Connection): boolean {
  const before = state.connection;
  state.connection = now;
  // A state that names none is of an earlier release, which had one connection a node.
  if (before === undefined || before.by === now.by) return false;
  for (const record of state.guests.values()) exchange(record, before.by, now.by);
  state.capabilities = undefined;
  state.hostCpu = undefined;
  return true;
}

/** What was learnt by the figures of one node says nothing where another connection shows it. */
export function forgetLearnt(record: GuestRecord): void {
  record.day = undefined;
  record.cores.model = undefined;
  record.memory.model = undefined;
  for (const by of CONNECTIONS) delete record.aside[by];
}

function exchange(record: GuestRecord, from: ConnectionName, to: ConnectionName): void {
  const { day, cores, memory, aside } = record;
  const { sample } = record.life;
  const life = sample && { identity: sample.identity, atMs: sample.atMs };
  const other = aside[to];
  aside[from] = { day, cores: cores.model, memory: memory.model, life: life ?? aside[from]?.life };
  aside[to] = { life: other?.life };
  record.day = other?.day;
  cores.model = other?.cores;
  memory.model = other?.memory;
  renewLife(record);
}

/**
 * Takes in the first sample after another connection came into use. A guest that was restarted in
 * between begins a new life. If nothing tells whether it was, it counts as started just now.
 *
 * | by this connection    | up since                      | that is        |
 * | --------------------- | ----------------------------- | -------------- |
 * | seen, the same        |                               | the same life  |
 * | seen, another one     |                               | another life   |
 * | not seen in this life | before the other saw it last  | the same life  |
 * | not seen in this life | later, or it is not told      | not known      |
 *
 * @returns whether it is such a sample
 */
export function resumeLife(
  record: GuestRecord,
  by: ConnectionName | undefined,
  { identity, atMs, upMs }: Pick<CgroupSample, 'identity' | 'atMs' | 'upMs'>,
): boolean {
  const own = by && record.aside[by];
  if (by === undefined || own === undefined) return false;
  delete record.aside[by];
  if (own.life !== undefined) {
    if (own.life.identity !== identity) endLife(record, atMs);
    return true;
  }
  const other = record.aside[otherThan(by)]?.life;
  const isSame = upMs !== undefined && other !== undefined && atMs - upMs <= other.atMs;
  if (!isSame) record.life.startedMs = atMs;
  return true;
}
