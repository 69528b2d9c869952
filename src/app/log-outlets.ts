import type { Config } from '../config/model.ts';
import type { LogLine } from '../core/log-line.ts';
import { showSyslogAddress } from '../core/syslog-address.ts';
import type { Paths } from '../node/local/paths.ts';
import { createJournalFields, JOURNAL_SOCKET, type JournalFields } from '../os/journal-fields.ts';
import { createSyslog, type Syslog } from '../output/syslog.ts';
import type { Log } from '../ports.ts';

/** Further destinations of log lines, as configured: the journal of systemd and syslog. */
export interface LogOutlets {
  readonly insteadOfConsole: (line: LogLine) => boolean;
  readonly besides: (line: LogLine) => void;
  use(config: Config): void;
  close(): Promise<void>;
}

export interface LogOutletsParts {
  readonly paths: Paths;
  /** The console is the journal of systemd. */
  readonly toSystemd: boolean;
  readonly log: () => Log;
}

export function logOutlets({ paths, toSystemd, log }: LogOutletsParts): LogOutlets {
  let fields: JournalFields | undefined;
  let syslog: Syslog | undefined;
  let address = '';
  const { pid } = process;
  const logTrouble = (level: 'WARNING' | 'INFO', message: string): void =>
    level === 'INFO' ? log().info(message) : log().warn(message);

  function useFields(isWanted: boolean): void {
    if (!isWanted) {
      void fields?.close();
      fields = undefined;
      return;
    }
    const socketPath = paths.at(JOURNAL_SOCKET);
    fields ??= createJournalFields({ socketPath, pid, log: logTrouble });
  }

  function useSyslog({ logSyslog }: Config): void {
    const wanted = logSyslog === undefined ? '' : showSyslogAddress(logSyslog);
    if (wanted === address) return;
    address = wanted;
    void syslog?.close();
    const sender = { host: paths.nodeName(), pid };
    syslog = logSyslog && createSyslog({ address: logSyslog, sender, log: logTrouble });
  }

  return {
    insteadOfConsole: (line) => fields?.put(line) ?? false,
    besides: (line) => syslog?.put(line),
    use(config) {
      useFields(config.logJournalFields && toSystemd);
      useSyslog(config);
    },
    async close() {
      await Promise.all([fields?.close(), syslog?.close()]);
    },
  };
}
