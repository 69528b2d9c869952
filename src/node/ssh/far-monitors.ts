import { type Missing, missing } from '../../core/reading.ts';
import { milliseconds, type Vmid } from '../../core/units.ts';
import { failed, missingBecause } from '../../os/os-error.ts';
import { MONITOR_LIMIT_MS, QUESTIONS } from '../guests/qemu-monitor.ts';
import {
  answersTo,
  Conversation,
  LOCKED,
  type MonitorAccess,
  questionLines,
  type Spoken,
} from '../guests/qmp.ts';
import type { FarRecord } from './frames.ts';
import type { KeptConnection } from './kept-connection.ts';

/**
 * The monitors of a far node. The far reader speaks with them, side by side and beside all else
 * that it is asked, and hands on what they said. It is understood here.
 */

/** Also the line takes its time. */
const WAIT_MS = milliseconds(1000);

export interface MonitorPaths {
  readonly procLocks: string;
  qmpSocket(vmid: Vmid): string;
  vmLock(vmid: Vmid): string;
}

/** @param answerLimitMs a far reader that takes longer for an answer has gone */
export function createFarMonitors(
  connection: KeptConnection,
  { procLocks, qmpSocket, vmLock }: MonitorPaths,
  answerLimitMs: number,
): MonitorAccess {
  const limit = String(MONITOR_LIMIT_MS / 1000);
  const [count, text] = [String(answersTo(QUESTIONS)), questionLines(QUESTIONS)];
  const speak = async (vmid: Vmid): Promise<Spoken> => {
    const path = qmpSocket(vmid);
    const words = [path, limit, count, text, procLocks, vmLock(vmid)];
    const answer = await connection.request('Q', words, MONITOR_LIMIT_MS + answerLimitMs);
    if (!answer.ok) return { kind: answer.line ? 'silent' : 'not-asked', why: answer };
    const [record] = answer.value;
    return record?.kind === 'told' && record.path === path
      ? spokenOf(record)
      : { kind: 'silent', why: missing('malformed', `${path}: no answer to it`) };
  };
  return { waitMs: WAIT_MS, round: () => speak };
}

function spokenOf({ path, how, code, wallMs, bytes }: FarRecord & { kind: 'told' }): Spoken {
  if (how === 'locked') return { kind: 'not-asked', why: LOCKED };
  if (code !== undefined) return { kind: 'silent', why: missingBecause(failed(code), path) };
  const talk = new Conversation(path, QUESTIONS);
  const wrong = talk.take(bytes);
  const { answers } = talk;
  if (wrong === undefined && answers !== undefined) return { kind: 'said', answers, wallMs };
  return { kind: 'silent', why: wrong ?? whyNot(talk, how) };
}

function whyNot(talk: Conversation, how: string): Missing {
  if (how === 'late') return talk.late(MONITOR_LIMIT_MS);
  return how === 'endless' ? talk.endless() : talk.ended();
}
