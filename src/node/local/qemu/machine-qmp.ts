import { statSync } from 'node:fs';
import { connect } from 'node:net';
import { type Missing, present, type Reading } from '../../../core/reading.ts';
import { type Milliseconds, milliseconds } from '../../../core/units.ts';
import { createFileReader } from '../../../os/file-reader.ts';
import { missingBecause } from '../../../os/os-error.ts';
import { MONITOR_LIMIT_MS, QUESTIONS } from '../../guests/qemu-monitor.ts';
import {
  Conversation,
  LOCKED,
  type MonitorAccess,
  type QmpAnswer,
  type Question,
  questionLines,
} from '../../guests/qmp.ts';
import type { Clock } from '../../port.ts';
import type { Paths } from '../paths.ts';

/** The monitors of this host. */

/** All of them answer within some milliseconds. */
const WAIT_MS = milliseconds(200);
const LOCKS_LIMIT_BYTES = 4 * 1024 * 1024;

/** Their sockets; none is asked while Proxmox VE speaks with QEMU and so holds the lock. */
export function createMonitorAccess(paths: Paths, clock: Clock): MonitorAccess {
  const readLocks = createFileReader(LOCKS_LIMIT_BYTES);
  return {
    waitMs: WAIT_MS,
    round() {
      const file = readLocks(paths.procLocks);
      const locks = file.ok ? file.value.toString('latin1') : '';
      return async (vmid) => {
        if (isHeld(paths.vmLock(vmid), locks)) return { kind: 'not-asked', why: LOCKED };
        const said = await askQmp(paths.qmpSocket(vmid), QUESTIONS, MONITOR_LIMIT_MS);
        if (!said.ok) return { kind: 'silent', why: said };
        return { kind: 'said', answers: said.value, wallMs: clock.wallMs() };
      };
    },
  };
}

/** @param locks what `/proc/locks` says */
function isHeld(file: string, locks: string): boolean {
  if (locks === '') return false;
  const inode = statSync(file, { throwIfNoEntry: false })?.ino;
  return inode !== undefined && new RegExp(`:${inode} 0 EOF$`, 'm').test(locks);
}

/**
 * One short conversation. Only one client is served at a time, and Proxmox VE's own tools wait for
 * the same place: so it connects, asks all at once, and hangs up. Missing if nobody serves the
 * socket, or not within the time: another client may have it, or QEMU hangs.
 *
 * @param path of the socket
 */
export function askQmp(
  path: string,
  questions: readonly Question[],
  timeLimitMs: Milliseconds,
): Promise<Reading<readonly QmpAnswer[]>> {
  return new Promise((resolve) => {
    const talk = new Conversation(path, questions);
    const socket = connect(path);
    const end = (result: Reading<readonly QmpAnswer[]> | Missing): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => end(talk.late(timeLimitMs)), timeLimitMs);
    socket.on('error', (error) => end(missingBecause(error, path)));
    socket.on('close', () => end(talk.ended()));
    socket.on('data', (chunk: Buffer) => {
      const wrong = talk.take(chunk);
      const { answers } = talk;
      if (wrong !== undefined) end(wrong);
      else if (talk.greets) socket.write(questionLines(questions));
      else if (answers !== undefined) end(present(answers));
    });
  });
}
