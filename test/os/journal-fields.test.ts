import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LogLine } from '../../src/core/log-line.ts';
import { milliseconds } from '../../src/core/units.ts';
import { createJournalFields, journalEntry } from '../../src/os/journal-fields.ts';
import { journalAt } from '../e2e/journal-socket.ts';

const line = (text: string, facts: Partial<LogLine['facts']> = {}): LogLine => ({
  atMs: milliseconds(0),
  level: 'WARNING',
  text,
  facts: { component: 'decide', ...facts },
});

let directory: string;
let socketPath: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'journal-'));
  socketPath = join(directory, 'socket');
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const journald = async (): Promise<() => readonly string[]> =>
  (await journalAt(socketPath)).entries;

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pause(10);
}

function fieldsOf(perl?: string) {
  const told: string[] = [];
  const fields = createJournalFields({
    socketPath,
    pid: 4711,
    log: (level, message) => void told.push(`${level}: ${message}`),
    ...(perl !== undefined && { perl }),
  });
  return { fields, told };
}

it('an entry has the fields of a line, and those that the journal knows', () => {
  const facts = { vmid: 101, event: 'hold', outcome: 'host-memory' };
  expect(journalEntry(line('Container 101 \u00e4', facts), 4711).toString('utf8')).toBe(
    'MESSAGE=WARNING - Container 101 \u00e4\nPRIORITY=4\nSYSLOG_FACILITY=3\n' +
      'SYSLOG_IDENTIFIER=lxc-autoscale\nSYSLOG_PID=4711\nLXC_AUTOSCALE_COMPONENT=decide\n' +
      'LXC_AUTOSCALE_VMID=101\nLXC_AUTOSCALE_EVENT=hold\nLXC_AUTOSCALE_OUTCOME=host-memory\n',
  );
});

describe('the helper', () => {
  it('hands each line over as one datagram, from when it is ready until it is closed', async () => {
    const entries = await journald();
    const { fields, told } = fieldsOf();
    expect(fields.put(line('too early'))).toBe(false);
    await until(() => fields.put(line('first')));
    for (let count = 0; count < 200; count += 1) {
      expect(fields.put(line(`${count} ${'\u{1f600}'.repeat(count)}`))).toBe(true);
    }
    await fields.close();
    expect(fields.put(line('too late'))).toBe(false);
    await until(() => entries().length >= 201);
    const texts = entries().map((entry) => /^MESSAGE=WARNING - (.*)\n/.exec(entry)?.[1]);
    expect(texts).toEqual([
      'first',
      ...Array.from({ length: 200 }, (_, count) => `${count} ${'\u{1f600}'.repeat(count)}`),
    ]);
    expect(told).toEqual([]);
  });

  it('leaves lines to the console where there is no journal, and takes them again', async () => {
    const { fields, told } = fieldsOf();
    fields.put(line('x'));
    await until(() => told.length > 0);
    expect(told).toEqual([
      `WARNING: Lines in the journal have no fields for now: ${socketPath}: ` +
        'No such file or directory',
    ]);
    expect(fields.put(line('x'))).toBe(false);
    const entries = await journald();
    await until(() => fields.put(line('again')));
    await until(() => entries().length > 0);
    expect(told.slice(1)).toEqual(['INFO: Lines in the journal have fields again']);
    await fields.close();
  });

  it('that cannot be started is told once', async () => {
    const { fields, told } = fieldsOf(join(directory, 'no-perl'));
    for (let count = 0; count < 5; count += 1) {
      expect(fields.put(line('x'))).toBe(false);
      await pause(1);
    }
    await until(() => told.length > 0);
    expect(told).toEqual([
      `WARNING: Lines in the journal have no fields for now: there is no ${directory}/no-perl`,
    ]);
    await fields.close();
  });
});
