import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { JournalEvent } from '../../src/core/journal-event.ts';
import { journalLabel } from '../../src/core/journal-words.ts';
import { milliseconds } from '../../src/core/units.ts';
import { createJournal } from '../../src/output/journal.ts';
import { eventFrom } from '../core/journal-events.ts';
import { fc } from '../fast-check.ts';
import { runBash } from './run-child.ts';

let directory: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'journal-'));
  file = join(directory, 'log', 'lxc_autoscale.json');
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const clock = { wallMs: () => milliseconds(Date.UTC(2024, 7, 14, 22, 4, 45)) };
const journal = (host = 'pve1') => createJournal({ file, host, timezone: 'UTC' }, clock);
const content = () => readFileSync(file, 'utf8');

/** As the label says it; by 2 cores, or 512 MB. */
function event(details: object = {}, label = 'Increase Cores'): JournalEvent {
  const sides = label.includes('Memory') ? { before: 1024, after: 512 } : { before: 2, after: 4 };
  return eventFrom(label, { ...sides, ...details });
}

describe('a line', () => {
  it('has the five strings first, in their order, and the details after them', () => {
    const details = { before: 2, after: 4, reason: 'busy', cycle: 12 };
    expect(journal().record(event(details))).toBe(true);
    expect(content()).toBe(
      '{"timestamp":"2024-08-14 22:04:45","proxmox_host":"pve1","container_id":"104",' +
        '"action":"Increase Cores","change":"2","time":"2024-08-14T22:04:45.000Z",' +
        '"event":"change","resource":"cores","direction":"up",' +
        '"status":"confirmed","before":2,"after":4,"reason":"busy","cycle":12}\n',
    );
  });

  it('has its time with a zone beside that of the configured zone', () => {
    const zoned = createJournal({ file, host: 'pve1', timezone: 'Asia/Kolkata' }, clock);
    zoned.record(event());
    expect(JSON.parse(content())).toMatchObject({
      timestamp: '2024-08-15 03:34:45',
      time: '2024-08-14T22:04:45.000Z',
    });
  });

  it.each([
    ['Confirm Cores', '4', 'confirmed'],
    ['Would Increase Cores', '2', 'would'],
    ['Increase Cores Failed', '2', 'failed'],
    ['Decrease Memory Rolled Back', '512MB', 'rolled-back'],
    ['Decrease Memory Not Proven', '512MB', 'not-proven'],
    ['Rollback Cores Failed', '2', 'rollback-failed'],
    ['Would Scale Out', '+1', 'would'],
    ['Scale In Failed', '-1', 'failed'],
  ])('of what is no change (%s) holds no word that scripts count', (label, change, word) => {
    journal().record(event({}, label));
    expect(content()).not.toMatch(/Cores|Memory|Increase|Decrease|Scale/);
    const read = JSON.parse(content()) as Record<string, unknown>;
    expect(read).toMatchObject({ action: 'None', event: word, by: change });
    expect(read['change']).toMatch(/^0(MB)?$/);
    expect(journalLabel(read)).toBe(label);
  });

  it.each([
    ['Rollback Cores', 3, 1, 'Decrease Cores'],
    ['Rollback Cores', 1, 'all', 'Increase Cores'],
    ['Rollback Cores', 'max', 1.5, 'Decrease Cores'],
    ['Rollback Memory', 512, 1024, 'Increase Memory'],
    ['Rollback Cores', 'all', 'all', 'None'],
  ])('of a rollback (%s, %s -> %s) says what it changed', (label, before, after, action) => {
    journal().record(event({ before, after }, label));
    const read = JSON.parse(content()) as Record<string, unknown>;
    expect(read).toMatchObject({ action, event: 'rollback' });
    expect(journalLabel(read)).toBe(label);
  });

  it('keeps that order and those values against details with the same or numeric names', () => {
    const details = { change: 'forged', timestamp: 1, '104': 'x', ['__proto__']: { a: 1 } };
    journal().record(event(details));
    expect(content()).toMatch(/^\{"timestamp":"2024-08-14 22:04:45",.*"change":"2",.*"104":"x"/);
    expect(content()).not.toContain('forged');
  });

  it('is one parsable line of printable characters, whatever the strings', () => {
    const text = fc.string({ unit: 'binary' });
    fc.assert(
      fc.property(text, text, fc.dictionary(text, fc.jsonValue()), (host, x, more) => {
        rmSync(file, { force: true });
        const { before: _b, after: _a, status: _s, ...rest } = more;
        expect(journal(host).record(event({ ...rest, reason: x }))).toBe(true);
        const line = content().slice(0, -1);
        expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
        const read = JSON.parse(line) as Record<string, unknown>;
        expect(read['change']).toBe('2');
        expect(read['reason']).toBe(x);
        expect(read['proxmox_host']).toBe(host);
      }),
    );
  });

  it('can be written of values that JSON does not know', () => {
    const circle: Record<string, unknown> = {};
    circle['self'] = circle;
    const details = { no: undefined, nan: Number.NaN, big: 12n, call: () => 1, circle, last: 1 };
    expect(journal().record(event(details))).toBe(true);
    expect(content()).toMatch(/"nan":null,"big":"12","call":null,"last":1,"truncated":true\}\n$/);
  });

  it('shows nothing to a terminal that it would obey, and the same to a parser', () => {
    const name = '\x9b2J \x7f \u202e \u2028 \ufeff \u{e0041} \ud800 ü';
    journal().record(event({ [name]: name }));
    expect(content()).toContain(
      '\\u009b2J \\u007f \\u202e \\u2028 \\ufeff \\udb40\\udc41 \\ud800 ü',
    );
    expect(JSON.parse(content())).toMatchObject({ [name]: name });
    expect(content().slice(0, -1)).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
  });

  it('is bounded, and says what was left out', () => {
    const details = { long: 'x'.repeat(1_000_000), many: new Array(9_000).fill(7), cycle: 3 };
    const huge = event(details);
    journal('h'.repeat(1_000_000)).record(huge);
    const read = JSON.parse(content()) as Record<string, unknown>;
    expect(content().length).toBeLessThanOrEqual(16 * 1024 + 1);
    expect(read).toMatchObject({ change: '2', cycle: 3, truncated: true });
    expect(read).not.toHaveProperty('many');
    expect(String(read['long'])).toHaveLength(1027);
  });

  it('is bounded when many details fill it up', () => {
    const names = Array.from({ length: 400 }, (_, index) => `detail ${index}`);
    const details = Object.fromEntries(names.map((name) => [name, 'x'.repeat(200)]));
    journal().record(event(details));
    expect(content().length).toBeLessThanOrEqual(16 * 1024 + 1);
    expect(content().length).toBeGreaterThan(15 * 1024);
    expect(JSON.parse(content())).toMatchObject({
      'detail 0': details['detail 0'],
      truncated: true,
    });
  });
});

describe('the file', () => {
  it('takes one line for each event and follows a rotation', () => {
    const { record } = journal();
    record(event());
    record(event());
    renameSync(file, `${file}.1`);
    record(event());
    expect(readFileSync(`${file}.1`, 'utf8').split('\n')).toHaveLength(3);
    expect(content().split('\n')).toHaveLength(2);
  });

  it('is healed after a crash that left half a line', () => {
    mkdirSync(join(directory, 'log'));
    writeFileSync(file, '{"timestamp":"2024-0');
    journal().record(event());
    expect(content()).toMatch(/^\{"timestamp":"2024-0\n\{"timestamp":"2024-08-14 22:04:45",/);
  });

  it('that cannot be written yields false and the reason, until it can', () => {
    mkdirSync(file, { recursive: true });
    const log = journal();
    expect(log.lastError).toBeUndefined();
    expect(log.record(event())).toBe(false);
    expect(log.lastError).toContain('EISDIR');
    rmSync(file, { recursive: true });
    expect(log.record(event())).toBe(true);
    expect(log.lastError).toBeUndefined();
  });

  it('and the host and timezone can be changed by a reload', () => {
    const log = journal();
    const second = `${file}.second`;
    log.reconfigure({ file: second, host: 'pve2', timezone: 'Asia/Tokyo' });
    log.record(event());
    expect(readFileSync(second, 'utf8')).toMatch(
      /^\{"timestamp":"2024-08-15 07:04:45","proxmox_host":"pve2",/,
    );
    expect(() => log.reconfigure({ file, host: 'pve3', timezone: 'No/Where' })).toThrow(RangeError);
    log.record(event());
    expect(readFileSync(second, 'utf8')).toMatch(/"pve2".*\n.*"pve2"/);
  });

  it('is read by jq as existing scripts do', (context) => {
    if (runBash('command -v jq').status !== 0) context.skip('jq is not installed');
    const { record } = journal();
    record(event({ reason: 'a\u009b\u2028"\\' }));
    record(event({ before: 7168, after: 512 }, 'Decrease Memory'));
    const query = '[.timestamp, .proxmox_host, .container_id, .action, .change] | join("|")';
    const run = runBash(`jq -r '${query}' ${file}`);
    expect(run.stdout).toBe(
      '2024-08-14 22:04:45|pve1|104|Increase Cores|2\n' +
        '2024-08-14 22:04:45|pve1|104|Decrease Memory|6656MB\n',
    );
  });
});

describe('secrets', () => {
  it('are taken out of every value, wherever they stand, and out of nothing else', () => {
    const secrets = ['hush-hush', 'abc'];
    const masked = createJournal({ file, host: 'pve1', timezone: 'UTC', secrets }, clock);
    const details = {
      note: 'it said hush-hush, abc',
      'hush-hush': 1,
      deep: [{ a: 'xhush-hushx' }],
    };
    masked.record(event(details));
    expect(JSON.parse(content())).toMatchObject({
      note: 'it said ***, abc',
      'hush-hush': 1,
      deep: [{ a: 'x***x' }],
    });
  });
});
