import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { type LogLine, SYSLOG_PRIORITIES } from '../core/log-line.ts';
import { errorCode } from './os-error.ts';

/** Lines with fields for the journal of systemd: `journalctl LXC_AUTOSCALE_VMID=101`. */
export interface JournalFields {
  /** false: it cannot be taken now, so it has to go another way. */
  put(line: LogLine): boolean;
  /** Resolves when what was taken is in the journal, after a moment at most. */
  close(): Promise<void>;
}

export interface JournalFieldsParts {
  /** Where journald takes datagrams. */
  readonly socketPath: string;
  readonly pid: number;
  readonly log: (level: 'WARNING' | 'INFO', message: string) => void;
  /** For tests: the program in place of `/usr/bin/perl`. */
  readonly perl?: string;
}

export const JOURNAL_SOCKET = '/run/systemd/journal/socket';

const PERL = '/usr/bin/perl';
/**
 * Node has no datagram sockets in the file system, and the tools of systemd hand over no fields, or
 * one line a process (`logger --journald`). Perl is on every Debian (`perl-base` is essential), and
 * pct is written in it. What comes on standard input, each behind its length, goes on as datagrams,
 * until that ends: with the daemon, however it ends.
 */
const PASS_ON = `
use Socket;
$SIG{$_} = 'IGNORE' for qw(TERM INT HUP);
my $journal;
socket($journal, AF_UNIX, SOCK_DGRAM, 0) && connect($journal, pack_sockaddr_un($ARGV[0]))
  or die "$ARGV[0]: $!\\n";
syswrite(STDOUT, "ready");
while (read(STDIN, my $length, 4) == 4) {
  read(STDIN, my $entry, unpack('N', $length)) == unpack('N', $length) or last;
  defined(send($journal, $entry, 0)) or die "$ARGV[0]: $!\\n";
}
`;

/** The facility of syslog(3). */
const DAEMON = 3;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 60_000;
/** Lines go to the console where journald takes none for so long that this much waits. */
const MOST_WAITING_BYTES = 256 * 1024;
const CLOSE_LIMIT_MS = 1000;
const MOST_SAID = 500;

type Helper = ChildProcessByStdio<Writable, Readable, Readable>;

interface HelperEvents {
  readonly ready: () => void;
  readonly over: (why: string) => void;
}

function startHelper(perl: string, socketPath: string, { ready, over }: HelperEvents): Helper {
  const child = spawn(perl, ['-e', PASS_ON, socketPath], {
    env: {},
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    if (said.length < MOST_SAID) said += chunk.toString('utf8');
  });
  child.stdout.once('data', ready);
  // What it did not read is in the log file.
  child.stdin.on('error', () => {});
  child.once('error', (error) => {
    if (errorCode(error) === 'ENOENT') over(`there is no ${perl}`);
    else if (child.pid === undefined) over(`${perl} could not be started: ${error.message}`);
  });
  child.once('close', (code, signal) => {
    if (child.pid !== undefined) over(said.trim() || `${perl} ended (${signal ?? code})`);
  });
  return child;
}

/** Starts its one helper process with the first line. Until that is ready it takes none. */
export function createJournalFields(parts: JournalFieldsParts): JournalFields {
  const { socketPath, pid, log, perl = PERL } = parts;
  let helper: Helper | undefined;
  let isReady = false;
  let isClosed = false;
  let isTrouble = false;
  let retry: NodeJS.Timeout | undefined;
  let retryMs = FIRST_RETRY_MS;

  const ready = (): void => {
    isReady = true;
    retryMs = FIRST_RETRY_MS;
    if (isTrouble) log('INFO', 'Lines in the journal have fields again');
    isTrouble = false;
  };
  const over = (why: string): void => {
    helper = undefined;
    isReady = false;
    if (isClosed) return;
    retry = setTimeout(() => {
      retry = undefined;
    }, retryMs);
    retry.unref();
    retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
    if (isTrouble) return;
    isTrouble = true;
    log('WARNING', `Lines in the journal have no fields for now: ${why}`);
  };
  return {
    put(line) {
      if (isClosed) return false;
      if (helper === undefined && retry === undefined) {
        helper = startHelper(perl, socketPath, { ready, over });
      }
      if (helper === undefined || !isReady) return false;
      if (helper.stdin.writableLength > MOST_WAITING_BYTES) return false;
      helper.stdin.write(framed(journalEntry(line, pid)));
      return true;
    },
    close() {
      isClosed = true;
      clearTimeout(retry);
      const last = helper;
      if (last === undefined) return Promise.resolve();
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, CLOSE_LIMIT_MS);
        last.once('close', () => {
          clearTimeout(timer);
          resolve();
        });
        last.stdin.end();
      });
    },
  };
}

/**
 * One entry as journald takes it: `NAME=value` lines. No value holds a line break, since a line of
 * the log has none. Source: systemd.io/JOURNAL_NATIVE_PROTOCOL.
 */
export function journalEntry({ level, text, facts }: LogLine, pid: number): Buffer {
  const fields = [
    ['MESSAGE', `${level} - ${text}`],
    ['PRIORITY', SYSLOG_PRIORITIES[level]],
    ['SYSLOG_FACILITY', DAEMON],
    ['SYSLOG_IDENTIFIER', 'lxc-autoscale'],
    ['SYSLOG_PID', pid],
    ...Object.entries(facts).map(([name, fact]) => [`LXC_AUTOSCALE_${name.toUpperCase()}`, fact]),
  ];
  const lines = fields.map(([name, value]) => `${name}=${value}\n`);
  return Buffer.from(lines.join(''), 'utf8');
}

/** Behind its length, in four bytes. */
function framed(entry: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(entry.length);
  return Buffer.concat([length, entry]);
}
