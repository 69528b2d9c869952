import { type LogLine, SYSLOG_PRIORITIES } from '../core/log-line.ts';

/** Who sends, as each message says it. */
export interface SyslogSender {
  /** The name of the node. */
  readonly host: string;
  readonly pid: number;
}

/** Of syslog(3): a system daemon. */
const DAEMON = 3;
/** Of RFC 5612: the number for who has none of his own. It only has to be no name of the IANA. */
const STRUCTURED = 'lxcAutoscale@32473';
/** What receivers take by default; rsyslog cuts at 8 KiB. */
const MAX_BYTES = 8000;

/**
 * A line as one message of syslog, in UTF-8. What it is about goes as structured data, e.g.
 * `[lxcAutoscale@32473 component="act" vmid="101" event="change"]`. Source: RFC 5424, section 6.
 */
export function syslogMessage({ atMs, level, text, facts }: LogLine, sender: SyslogSender): Buffer {
  const priority = DAEMON * 8 + SYSLOG_PRIORITIES[level];
  const time = new Date(atMs).toISOString();
  const head = `<${priority}>1 ${time} ${name(sender.host, 255)} lxc-autoscale ${sender.pid}`;
  const parameters = Object.entries(facts).map(
    ([key, value]) => ` ${key}="${escaped(`${value}`)}"`,
  );
  const message = `${head} ${facts.component} [${STRUCTURED}${parameters.join('')}] ${text}`;
  return cut(Buffer.from(message, 'utf8'));
}

const name = (text: string, most: number): string =>
  text.replace(/[^!-~]/g, '_').slice(0, most) || '-';

const escaped = (value: string): string => value.replace(/["\\\]]/g, '\\$&');

/** Cut where no character is torn apart. */
function cut(message: Buffer): Buffer {
  if (message.length <= MAX_BYTES) return message;
  let end = MAX_BYTES;
  while (((message[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return message.subarray(0, end);
}

/** Messages in a stream, each behind its length. Source: RFC 6587, section 3.4.1. */
export const counted = (message: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${message.length} `, 'latin1'), message]);
