import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LogLine } from '../../src/core/log-line.ts';
import { milliseconds } from '../../src/core/units.ts';
import { ofComponent } from '../../src/output/component-log.ts';
import { createLog, type LogSettings, type TextLog } from '../../src/output/log.ts';
import { fc } from '../fast-check.ts';
import { bundleScript, runBash } from './run-child.ts';

let directory: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'log-'));
  file = join(directory, 'log', 'lxc_autoscale.log');
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** A console that keeps what it is given. */
function recorder(): { stream: Writable; text: () => string } {
  let text = '';
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  return { stream, text: () => text };
}

const clock = { wallMs: () => milliseconds(Date.UTC(2024, 7, 14, 22, 4, 45)) };

function setUp(changes: Partial<LogSettings> = {}) {
  const settings: LogSettings = { file, level: 'INFO', timezone: 'UTC', secrets: [], ...changes };
  const console = recorder();
  const complaints = recorder();
  const log = createLog(settings, {
    clock,
    console: console.stream,
    complaints: complaints.stream,
  });
  return { log, settings, console, complaints };
}

const content = () => readFileSync(file, 'utf8');

function allLevels(log: TextLog): void {
  log.debug('d');
  log.info('i');
  log.warn('w');
  log.error('e');
}

describe('the form of a line', () => {
  it('is date, time, level and message, in the file and on the console', () => {
    const { log, console } = setUp();
    log.info('Decreasing memory for container 102 by 6656MB...');
    const line = '2024-08-14 22:04:45 - INFO - Decreasing memory for container 102 by 6656MB...\n';
    expect(content()).toBe(line);
    expect(console.text()).toBe(line);
  });

  it.each([
    ['DEBUG', ['DEBUG - d', 'INFO - i', 'WARNING - w', 'ERROR - e']],
    ['INFO', ['INFO - i', 'WARNING - w', 'ERROR - e']],
    ['WARNING', ['WARNING - w', 'ERROR - e']],
    ['ERROR', ['ERROR - e']],
  ] as const)('at level %s is one of %j', (level, expected) => {
    const { log } = setUp({ level });
    allLevels(log);
    expect(content()).toBe(expected.map((line) => `2024-08-14 22:04:45 - ${line}\n`).join(''));
  });

  it('is made only where it is heard, if it comes as a function', () => {
    const { log, settings } = setUp();
    let made = 0;
    const line = (): string => `made ${++made}`;
    log.debug(line);
    expect([made, existsSync(file)]).toEqual([0, false]);
    log.reconfigure({ ...settings, level: 'DEBUG' });
    ofComponent(log, 'decide').debug(line);
    expect(content()).toBe('2024-08-14 22:04:45 - DEBUG - made 1\n');
  });

  it('is left out by the level of its component, which a reload may change', () => {
    const componentLevels = { groups: 'DEBUG', notify: 'ERROR' } as const;
    const { log, settings } = setUp({ level: 'WARNING', componentLevels });
    const say = () => {
      for (const component of ['groups', 'notify', 'act', 'daemon'] as const) {
        log.debug(`d ${component}`, { component });
        ofComponent(log, component).warn(`w ${component}`);
      }
      log.info('i');
    };
    say();
    const said = () =>
      content()
        .trimEnd()
        .split('\n')
        .map((line) => line.slice(22));
    const first = [
      'DEBUG - d groups',
      'WARNING - w groups',
      'WARNING - w act',
      'WARNING - w daemon',
    ];
    expect(said()).toEqual(first);
    log.reconfigure({ ...settings, level: 'ERROR', componentLevels: { daemon: 'INFO' } });
    say();
    expect(said()).toEqual([...first, 'WARNING - w daemon', 'INFO - i']);
  });

  it('is one line without terminal escapes, whatever the message', () => {
    const { log } = setUp();
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (message) => {
        rmSync(file, { force: true });
        log.info(`name ${message} end`);
        const text = content();
        const rest = text.slice(0, -1);
        return text.endsWith(' end\n') && !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(rest);
      }),
    );
  });

  it('is bounded', () => {
    const { log } = setUp();
    log.info('x'.repeat(1_000_000));
    expect(content().length).toBeLessThan(8_300);
    expect(content()).toMatch(/ \.\.\. \[99\d\d\d\d more characters\]\n$/);
  });

  it('shows no secret, and is not torn apart by an empty or short one', () => {
    const { log } = setUp({ secrets: ['A1b2C3d4', '', 'e'] });
    log.error('POST https://gotify/message?token=A1b2C3d4 failed, A1b2C3d4 refused');
    expect(content()).toContain('POST https://gotify/message?token=*** failed, *** refused');
  });

  it('keeps no winston habits: no placeholders, no objects', () => {
    const { log } = setUp();
    log.info('100 %s of %d%% {"a":1}');
    log.info('');
    expect(content()).toBe(
      '2024-08-14 22:04:45 - INFO - 100 %s of %d%% {"a":1}\n2024-08-14 22:04:45 - INFO - \n',
    );
  });
});

describe('reconfigure', () => {
  it('changes level, timezone, file and secrets from the next line on', () => {
    const { log, settings } = setUp();
    log.debug('unseen');
    log.info('first');
    const second = `${file}.second`;
    const level = 'DEBUG';
    log.reconfigure({
      ...settings,
      file: second,
      level,
      timezone: 'Asia/Tokyo',
      secrets: ['hush'],
    });
    log.debug('hush');
    expect(content()).toBe('2024-08-14 22:04:45 - INFO - first\n');
    expect(readFileSync(second, 'utf8')).toBe('2024-08-15 07:04:45 - DEBUG - ***\n');
  });

  it('changes nothing when the timezone is unknown', () => {
    const { log, settings } = setUp();
    const wrong: LogSettings = { ...settings, level: 'DEBUG', timezone: 'Mars/Olympus' };
    expect(() => log.reconfigure(wrong)).toThrow(RangeError);
    allLevels(log);
    expect(content()).toMatch(/^2024-08-14 22:04:45 - INFO - i\n/);
  });

  it('can do without a file', () => {
    const { log, console, complaints } = setUp({ file: undefined });
    log.info('to the console');
    expect(console.text()).toContain('to the console');
    expect(complaints.text()).toBe('');
  });
});

describe('a file that cannot be written', () => {
  it('is reported once, and does not keep lines from the console', () => {
    mkdirSync(file, { recursive: true });
    const { log, console, complaints } = setUp();
    allLevels(log);
    expect(complaints.text()).toMatch(
      /^2024-08-14 22:04:45 - ERROR - The log file .* cannot be written, .*EISDIR[^\n]*\n$/,
    );
    expect(console.text().split('\n')).toHaveLength(4);
  });

  it('is told how many lines it missed when it can be written again', () => {
    mkdirSync(file, { recursive: true });
    const { log } = setUp();
    allLevels(log);
    rmSync(file, { recursive: true });
    log.info('back');
    log.info('again');
    expect(content().split('\n')).toEqual([
      expect.stringContaining(
        'WARNING - 3 lines before this one could not be written to this file',
      ),
      expect.stringContaining('back'),
      expect.stringContaining('again'),
      '',
    ]);
  });

  it('does not end the process when the disk is full', () => {
    const { log, console, complaints } = setUp({ file: '/dev/full' });
    allLevels(log);
    expect(complaints.text()).toContain('ENOSPC');
    expect(console.text()).toContain('ERROR - e');
  });

  it('is found again after a rotation without a signal', () => {
    const { log } = setUp();
    log.info('one');
    renameSync(file, `${file}.1`);
    log.info('two');
    expect(content()).toBe('2024-08-14 22:04:45 - INFO - two\n');
  });
});

describe('flush', () => {
  it('waits for a slow console, with a limit', async () => {
    let taken = 0;
    const slow = new Writable({
      write(_chunk, _encoding, done) {
        setTimeout(() => {
          taken += 1;
          done();
        }, 5);
      },
    });
    const settings: LogSettings = { file, level: 'INFO', timezone: 'UTC', secrets: [] };
    const log = createLog(settings, { clock, console: slow, complaints: slow });
    for (let line = 0; line < 10; line += 1) log.info('x');
    await log.flush();
    expect(taken).toBeGreaterThanOrEqual(10);
    log.info('after a flush the log goes on');
    expect(content().split('\n')).toHaveLength(12);
  });

  it('gives up on a console that stands still, which does not fill the memory', async () => {
    const { settings } = setUp();
    const stuck = new Writable({ write: () => {} });
    const log = createLog(settings, { clock, console: stuck, complaints: stuck });
    for (let line = 0; line < 500; line += 1) log.info('x'.repeat(8_000));
    await log.flush();
    expect(stuck.writableLength).toBeLessThan(1_100_000);
    expect(content().split('\n')).toHaveLength(501);
  });
});

describe('in a process of its own', () => {
  const script = (body: string) =>
    bundleScript(
      directory,
      `import { createLog } from './output/log.ts';
       const [file] = process.argv.slice(2);
       const log = createLog({ file, level: 'INFO', timezone: undefined, secrets: [] }, {
         clock: { wallMs: () => Date.now() }, console: process.stdout, complaints: process.stderr,
       });
       ${body}`,
    );

  it('loses no line of a burst when the process exits at once', () => {
    const path = script(
      "for (let i = 0; i < 5000; i += 1) log.info('line ' + i); process.exit(3);",
    );
    const run = runBash(`${process.execPath} ${path} ${file}`);
    expect(run).toMatchObject({ status: 3, stderr: '' });
    expect(content().split('\n')).toHaveLength(5001);
  });

  it('loses no line on the console either when it is flushed before', () => {
    const path = script(`
      for (let i = 0; i < 5000; i += 1) log.info('line ' + i);
      log.flush().then(() => process.exit(3));`);
    const run = runBash(`${process.execPath} ${path} ${file} | (sleep 0.2; cat)`);
    expect(run.stdout === content() && run.stdout.endsWith('line 4999\n')).toBe(true);
  });

  it('survives the reader of its output going away', () => {
    const path = script(`
      let count = 0;
      const timer = setInterval(() => {
        count += 1;
        log.info('line ' + count);
        if (count < 30) return;
        clearInterval(timer);
        log.flush().then(() => { process.exitCode = 7; });
      }, 5);`);
    const run = runBash(`set -o pipefail; ${process.execPath} ${path} ${file} | head -n 1`);
    expect(run).toMatchObject({ status: 7, stderr: '' });
    expect(content()).toContain('line 30\n');
  });
});

describe('the console', () => {
  it('has the same time as the file, also where the clock goes on between the two', () => {
    let nowMs = 0;
    const running = {
      wallMs: () => {
        nowMs += 1000;
        return milliseconds(nowMs);
      },
    };
    const settings: LogSettings = { file, level: 'INFO', timezone: 'UTC', secrets: [] };
    const console = recorder();
    const outputs = { clock: running, console: console.stream, complaints: recorder().stream };
    const log = createLog(settings, outputs);
    allLevels(log);
    expect(console.text()).toBe(content());
  });

  function onConsole(own: Partial<LogSettings>, toSystemd: boolean): readonly string[] {
    const settings: LogSettings = { file, level: 'DEBUG', timezone: 'UTC', secrets: [], ...own };
    const console = recorder();
    const outputs = { clock, console: console.stream, complaints: recorder().stream, toSystemd };
    const log = createLog(settings, outputs);
    allLevels(log);
    log.warn('a "quoted" secret: hush-hush\nnext', {
      component: 'act',
      vmid: 101,
      event: 'hush-hush',
    });
    return console.text().trimEnd().split('\n');
  }

  it('bears the priorities of syslog where it is the journal, and no time of its own', () => {
    expect(onConsole({}, true).slice(0, 4)).toEqual([
      '<7>DEBUG - d',
      '<6>INFO - i',
      '<4>WARNING - w',
      '<3>ERROR - e',
    ]);
    expect(content()).toContain('2024-08-14 22:04:45 - ERROR - e\n');
  });

  it('has an object a line where that is wanted, and the file text as always', () => {
    const lines = onConsole({ format: 'json', secrets: ['hush-hush'] }, false);
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { timestamp: '2024-08-14 22:04:45', level: 'DEBUG', message: 'd', component: 'daemon' },
      { timestamp: '2024-08-14 22:04:45', level: 'INFO', message: 'i', component: 'daemon' },
      { timestamp: '2024-08-14 22:04:45', level: 'WARNING', message: 'w', component: 'daemon' },
      { timestamp: '2024-08-14 22:04:45', level: 'ERROR', message: 'e', component: 'daemon' },
      {
        timestamp: '2024-08-14 22:04:45',
        level: 'WARNING',
        message: 'a "quoted" secret: ***\\nnext',
        component: 'act',
        vmid: 101,
        event: '***',
      },
    ]);
    expect(content()).toContain('2024-08-14 22:04:45 - WARNING - a "quoted" secret: ***');
    expect(onConsole({ format: 'json' }, true)[3]).toMatch(/^<3>\{"timestamp":.*"ERROR".*\}$/);
  });

  it('is told of a file that cannot be written with the priority of an error', () => {
    mkdirSync(file, { recursive: true });
    const complaints = recorder();
    const settings: LogSettings = { file, level: 'INFO', timezone: 'UTC', secrets: [] };
    const console = recorder();
    const outputs = { clock, console: console.stream, complaints: complaints.stream };
    createLog(settings, { ...outputs, toSystemd: true }).info('i');
    expect(complaints.text()).toMatch(/^<3>ERROR - The log file .* cannot be written/);
  });
});

describe('what else takes lines', () => {
  const settings = (): LogSettings => ({
    file,
    level: 'INFO',
    timezone: 'UTC',
    secrets: ['hush-hush'],
  });
  const outputs = () => ({ clock, console: recorder(), complaints: recorder().stream });

  it('gets each line with what it is about, without secrets and control characters', () => {
    const lines: LogLine[] = [];
    const { console, ...others } = outputs();
    const besides = (line: LogLine): void => void lines.push(line);
    const log = createLog(settings(), { ...others, console: console.stream, besides });
    log.debug('unseen');
    log.warn('a\nb hush-hush', { component: 'act', vmid: 101, group: 'x\u001b hush-hush' });
    expect(lines).toEqual([
      {
        atMs: clock.wallMs(),
        level: 'WARNING',
        text: 'a\\nb ***',
        facts: { component: 'act', vmid: 101, group: 'x\\x1b ***' },
      },
    ]);
    expect(console.text()).toContain('WARNING - a\\nb ***');
  });

  it('may stand for the console, which has the line again where that cannot take it', () => {
    let isThere = true;
    const taken: string[] = [];
    const { console, ...others } = outputs();
    const insteadOfConsole = ({ text }: LogLine): boolean => {
      if (isThere) taken.push(text);
      return isThere;
    };
    const log = createLog(settings(), { ...others, console: console.stream, insteadOfConsole });
    log.info('one');
    isThere = false;
    log.info('two');
    expect(taken).toEqual(['one']);
    expect(console.text()).toBe('2024-08-14 22:04:45 - INFO - two\n');
    expect(content().match(/one|two/g)).toEqual(['one', 'two']);
  });
});

it('the file is moved aside when it has become too large, also by a reload', () => {
  const { log, settings } = setUp({ rotation: { maxBytes: 200, keep: 2 } });
  for (let n = 0; n < 30; n += 1) log.info(`line ${n}`);
  expect(readdirSync(join(directory, 'log')).sort()).toEqual([
    'lxc_autoscale.log',
    'lxc_autoscale.log.1',
    'lxc_autoscale.log.2',
  ]);
  const all = ['.2', '.1', ''].map((end) => readFileSync(`${file}${end}`, 'utf8')).join('');
  expect(all.trimEnd().split('\n').at(-1)).toMatch(/line 29$/);
  log.reconfigure({ ...settings, rotation: undefined });
  for (let n = 0; n < 30; n += 1) log.info(`more ${n}`);
  expect(content().split('\n').length).toBeGreaterThan(30);
});
