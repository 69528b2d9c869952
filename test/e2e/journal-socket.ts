import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach } from 'vitest';
import { PATIENCE_MS } from '../patience.ts';

/** Takes datagrams as journald does, and prints each in hexadecimal. Node has no such sockets. */
const RECEIVER = `
use Socket;
$| = 1;
socket(my $journal, AF_UNIX, SOCK_DGRAM, 0) or die;
bind($journal, pack_sockaddr_un($ARGV[0])) or die "$ARGV[0]: $!";
print "bound\\n";
while (defined(recv($journal, my $entry, 65536, 0))) { print unpack('H*', $entry) . "\\n"; }
`;

const LIMIT_MS = PATIENCE_MS;

export interface JournalSocket {
  entries(): readonly string[];
  has(isSo: () => boolean): Promise<void>;
}

const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** A stand-in for journald, to the end of the test: its socket, and what comes there. */
export async function journalAt(path: string): Promise<JournalSocket> {
  mkdirSync(dirname(path), { recursive: true });
  const child = spawn('/usr/bin/perl', ['-e', RECEIVER, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
  });
  const has = async (isSo: () => boolean): Promise<void> => {
    for (let waitedMs = 0; !isSo(); waitedMs += 20) {
      if (waitedMs > LIMIT_MS) throw new Error(`never; it has:\n${entries().join('\n')}`);
      await pause(20);
    }
  };
  const entries = (): readonly string[] =>
    text
      .split('\n')
      .slice(1, -1)
      .map((hex) => Buffer.from(hex, 'hex').toString('utf8'));
  await has(() => text.startsWith('bound\n'));
  return { entries, has };
}

export function childrenOf(pid: number | undefined): ReadonlyArray<{ pid: number; name: string }> {
  const pids = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  return pids.filter(Boolean).map((child) => ({
    pid: Number(child),
    name: readFileSync(`/proc/${child}/comm`, 'utf8').trim(),
  }));
}
