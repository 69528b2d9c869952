import { type Answer, type Arguments, answer, failure, isTrue } from './command-line.ts';
import { decodeText, encodeText, type GuestConf, type Section } from './guest-conf.ts';
import { diskOf, statusFacts } from './guest-status.ts';
import { type CommandContext, lines, nameOf, withConf } from './pct-context.ts';
import { fileBytes, unreclaimableBytes } from './plant-memory.ts';
import { loadavgText } from './proc-text.ts';

/** The `pct` commands that change nothing. */

const sorted = (keys: Iterable<string>): string[] => [...keys].sort();

/** Settings of a section as `pct config` prints them: the description encoded on one line. */
function printable(section: Section): Map<string, string> {
  const values = new Map(section.values);
  if (section.description.length > 0) {
    const text = section.description.map((line) => `${decodeText(line)}\n`).join('');
    values.set('description', encodeText(text, true));
  }
  return values;
}

/** What Perl says of a container that is just stopping. */
export const STOPPING_NOISE =
  'Use of uninitialized value in subtraction (-) at /usr/share/perl5/PVE/LXC.pm line 310.\n' +
  'failed to read from command socket: Connection reset by peer\n';

export function list(context: CommandContext): Answer {
  const row = (vmid: string, status: string, lock: string, name: string): string =>
    `${vmid.padEnd(10)} ${status.padEnd(10)} ${lock.padEnd(12)} ${name.padEnd(20)}\n`;
  const vmids = context.machine.files.vmids();
  if (vmids.length === 0) return answer('');
  let stdout = row('VMID', 'Status', 'Lock', 'Name');
  let stderr = '';
  for (const vmid of vmids) {
    const conf = context.machine.conf(vmid);
    if (conf === undefined) continue;
    if (context.machine.stopping.has(vmid)) {
      // Its line is lost while it stops.
      stderr += STOPPING_NOISE;
      continue;
    }
    const status = context.machine.running(vmid) === undefined ? 'stopped' : 'running';
    stdout += row(`${vmid}`, status, conf.main.values.get('lock') ?? '', nameOf(vmid, conf));
    stderr += lines(conf.warnings);
  }
  return answer(stdout, stderr);
}

export function config(context: CommandContext, args: Arguments): Answer {
  return withConf(context, args.vmid, (conf) => {
    const snapshot = args.options.get('snapshot');
    const section = snapshot === undefined ? conf.main : conf.snapshots.get(snapshot);
    if (section === undefined) return failure(255, `snapshot '${snapshot}' does not exist\n`);
    const values = printable(section);
    if (snapshot === undefined && !isTrue(args.options.get('current'))) {
      for (const [key, value] of conf.pending.values) {
        if (key !== 'delete') values.set(key, value);
      }
    }
    const set = sorted(values.keys()).map((key) => `${key}: ${values.get(key) ?? ''}`);
    return answer(lines([...set, ...section.raw.map(([key, value]) => `${key}: ${value}`)]));
  });
}

export function pending(context: CommandContext, args: Arguments): Answer {
  return withConf(context, args.vmid, (conf) => {
    const now = printable(conf.main);
    const next = conf.pending.values;
    const removed = new Set(next.get('delete')?.split(/[,;\s]+/) ?? []);
    const keys = new Set([...now.keys(), ...next.keys()]);
    keys.delete('delete');
    const rows = sorted(keys).flatMap((key) => {
      const current = now.get(key);
      const waiting = next.get(key);
      const word = removed.has(key) ? 'del' : 'cur';
      return [
        ...(current === undefined ? [] : [`${word} ${key}: ${current}`]),
        ...(waiting === undefined ? [] : [`new ${key}: ${waiting}`]),
      ];
    });
    return answer(lines(rows));
  });
}

export function status(context: CommandContext, args: Arguments): Answer {
  return withConf(context, args.vmid, (conf) => {
    const facts = statusFacts(context.machine, args.vmid, conf);
    if (!isTrue(args.options.get('verbose'))) return answer(`status: ${facts['status']}\n`);
    return answer(lines(sorted(Object.keys(facts)).map((key) => `${key}: ${facts[key]}`)));
  });
}

export function cpusets(context: CommandContext): Answer {
  const containers = [...context.machine.plant.containers()].sort((a, b) => a.vmid - b.vmid);
  if (containers.length === 0) return answer('no running containers\n');
  const last = Math.max(...containers.flatMap((container) => container.limits.cpus));
  const width = `${last}`.length + 1;
  const idWidth = Math.max(...containers.map((container) => `${container.vmid}`.length));
  const rows = containers.map(({ vmid, limits }) => {
    const columns = Array.from({ length: last + 1 }, (_, cpu) =>
      (limits.cpus.includes(cpu) ? `${cpu}` : '').padStart(width),
    );
    return `${`${vmid}`.padStart(idWidth)}: ${columns.join('')}`.trimEnd();
  });
  const rule = '-'.repeat(Math.max(...rows.map((row) => row.length)));
  return answer(lines([rule, ...rows, rule]));
}

const sizeText = (bytes: number): string =>
  bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)}G` : `${(bytes / 2 ** 20).toFixed(1)}M`;

export function df(context: CommandContext, args: Arguments): Answer {
  return withConf(context, args.vmid, (conf) => {
    const { totalBytes, usedBytes } = diskOf(conf, true);
    const volume = (conf.main.values.get('rootfs') ?? '').split(',')[0] ?? '';
    const share = ((usedBytes / Math.max(1, totalBytes)) * 100).toFixed(1);
    const avail = sizeText(totalBytes * 0.95 - usedBytes);
    const rows = [
      ['MP', 'Volume', 'Size', 'Used', 'Avail', 'Use%', 'Path'],
      ['rootfs', volume, sizeText(totalBytes), sizeText(usedBytes), avail, share, '/'],
    ];
    const widths = [0, 1, 2, 3, 4, 5, 6].map((at) =>
      Math.max(...rows.map((row) => (row[at] ?? '').length)),
    );
    const cell = (text: string, at: number): string =>
      at < 2 ? text.padEnd(widths[at] ?? 0) : at < 6 ? text.padStart(widths[at] ?? 0) : text;
    return answer(lines(rows.map((row) => row.map(cell).join(' '))));
  });
}

function memoryTable(context: CommandContext, vmid: number): string {
  const container = context.machine.running(vmid);
  if (container === undefined) return '';
  const mib = (bytes: number) => Math.floor(bytes / 1048576);
  const { memory, limits } = container;
  const total = limits.memoryMaxBytes;
  const used = unreclaimableBytes(memory);
  const cache = fileBytes(memory);
  const row = (numbers: number[]) => numbers.map((n) => `${mib(n)}`.padStart(12)).join('');
  const swap = [limits.swapMaxBytes, memory.swapBytes, limits.swapMaxBytes - memory.swapBytes];
  const head = ['total', 'used', 'free', 'shared', 'buff/cache', 'available'];
  return lines([
    `${' '.repeat(8)}${head.map((word) => word.padStart(12)).join('')}`,
    `Mem:    ${row([total, used, total - used - cache, memory.shmemBytes, cache, total - used])}`,
    `Swap:   ${row(swap)}`,
  ]);
}

/** A few programs are there; any other is not installed in these containers. */
function runInside(context: CommandContext, vmid: number, words: readonly string[]): Answer {
  const container = context.machine.running(vmid);
  const [program = '', ...rest] = words;
  const command = words.join(' ');
  const exit = /^(?:ba)?sh -c exit (\d+)$/.exec(command)?.[1];
  if (exit !== undefined) return failure(Number(exit), '');
  if (command === 'cat /proc/loadavg') return answer(loadavgText(context.machine.plant.gauges));
  if (command === 'free -m') return answer(memoryTable(context, vmid));
  if (program === 'nproc') return answer(`${container?.limits.cpus.length ?? 0}\n`);
  if (program === 'echo') return answer(`${rest.join(' ')}\n`);
  if (program === 'true') return answer('');
  if (program === 'false') return failure(1, '');
  const where = `lxc-attach: ${vmid}: ../src/lxc/attach.c: lxc_attach_run_command: 1841`;
  return failure(127, `${where} No such file or directory - Failed to exec "${program}"\n`);
}

export function exec(context: CommandContext, args: Arguments): Answer {
  return withConf(context, args.vmid, (_conf: GuestConf) => {
    if (context.machine.running(args.vmid) === undefined) {
      return failure(255, `container '${args.vmid}' not running!\n`);
    }
    return runInside(context, args.vmid, args.extra);
  });
}
