import { CONNECTIONS, type Connection, type ConnectionName } from './connection.ts';
import { type GuestRecord, renewLife } from './guest-record.ts';
import type { LoopState } from './loop-state.ts';

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
  const { day, cores, memory } = record;
  const other = record.aside[to];
  record.aside[from] = { day, cores: cores.model, memory: memory.model };
  record.day = other?.day;
  cores.model = other?.cores;
  memory.model = other?.memory;
  renewLife(record);
}
