import { describe, expect, it } from 'vitest';
import type { Arguments } from '../../src/cli/arguments.ts';
import { parseArguments } from '../../src/cli/command-line.ts';
import { COMMANDS } from '../../src/cli/commands.ts';

interface Run extends Arguments {
  readonly command: string;
}

function run(...argv: readonly string[]): Run {
  const parsed = parseArguments(argv);
  if (parsed.kind !== 'run') throw new Error(`${parsed.kind}: ${JSON.stringify(parsed)}`);
  return { command: parsed.command.name, ...parsed.arguments };
}

const NAMES = COMMANDS.map(({ name }) => name);

const NOTHING: Arguments = {
  configFile: undefined,
  envFile: undefined,
  sysroot: '/',
  stateDir: undefined,
  dryRun: false,
  pollIntervalSeconds: undefined,
  energyMode: false,
  debug: false,
  traceFile: undefined,
  containers: undefined,
  durationSeconds: 60,
  vmid: undefined,
  guestName: undefined,
  group: undefined,
  tier: undefined,
  to: undefined,
  json: false,
  otherGuest: false,
  node: undefined,
  since: undefined,
  at: undefined,
  all: false,
  view: { wide: false, colour: true, columns: undefined, sort: undefined, watch: false },
  outFile: undefined,
  channel: undefined,
  policies: [],
  htmlFile: undefined,
  half: undefined,
  afterDays: 0,
  cold: false,
  yaml: false,
  http: false,
  note: undefined,
  oldFile: undefined,
  measureSeconds: 60,
  yes: false,
  notes: false,
};

const IN_SECONDS = ', in seconds or with a unit (s, m, h or d)';

const time = (text: string) => ({ kind: 'time', text }) as const;

describe('the command line', () => {
  it('names the words that a rollback may go to', () => {
    for (const kind of ['first', 'own']) {
      const parsed = parseArguments(['rollback', '--all', '--to', kind]);
      expect(parsed).toMatchObject({ kind: 'run', arguments: { to: { kind } } });
    }
    const other = parseArguments(['rollback', '101', '--other-guest']);
    expect(other).toMatchObject({ kind: 'run', arguments: { vmid: 101, otherGuest: true } });
    expect(parseArguments(['rollback', '--all', '--other-guest'])).toMatchObject({
      message: '--other-guest takes one container; --all skips other guests',
    });
  });

  it.each([
    ['90', 90] as const,
    ['90s', 90] as const,
    ['5m', 300] as const,
    ['1h', 3600] as const,
    ['0.5h', 1800] as const,
    ['10 min', 600] as const,
    ['1_800', 1800] as const,
  ])('reads %s as the configuration does', (text, seconds) => {
    expect(run('daemon', '--poll_interval', text)).toMatchObject({ pollIntervalSeconds: seconds });
    expect(run('demo', '--duration', text)).toMatchObject({ durationSeconds: seconds });
    expect(run('configure', '--for', text)).toMatchObject({ measureSeconds: seconds });
  });

  const notAlone: readonly string[] = ['rollback', 'explain', 'migrate-config'];
  const alone = NAMES.filter((command) => !notAlone.includes(command));

  it.each(alone)('takes %s alone, with every default', (command) => {
    expect(run(command)).toEqual({ command, ...NOTHING });
  });

  it.each([
    [['--config', '/a.yaml', 'daemon'], { configFile: '/a.yaml' }],
    [['daemon', '--config=/a.yaml'], { configFile: '/a.yaml' }],
    [['daemon', '--config=-a.yaml'], { configFile: '-a.yaml' }],
    [['--sysroot', '/tmp/node', 'once'], { sysroot: '/tmp/node' }],
    [['once', '--dry-run'], { dryRun: true }],
    [['daemon', '--dry-run'], { dryRun: true }],
    [['daemon', '--poll_interval', '30'], { pollIntervalSeconds: 30 }],
    [['daemon', '--poll_interval=1'], { pollIntervalSeconds: 1 }],
    [['daemon', '--poll_interval=86400'], { pollIntervalSeconds: 86_400 }],
    [['check-config', '--energy_mode'], { energyMode: true }],
    [['daemon', '--debug'], { debug: true }],
    [['demo', '--duration', '5'], { durationSeconds: 5 }],
    [['notify-test', 'gotify'], { channel: 'gotify' }],
    [['notify-test', 'Uptime-Kuma'], { channel: 'uptime_kuma' }],
    [['notify-test', '--config', '/a.yaml', 'email'], { channel: 'email', configFile: '/a.yaml' }],
    [['demo', '--trace', 'a.csv'], { traceFile: 'a.csv' }],
    [['demo', '--trace', 'a.csv', '--containers', '300'], { traceFile: 'a.csv', containers: 300 }],
  ] satisfies (readonly [readonly string[], Partial<Arguments>])[])(
    'takes %j',
    (argv, expected) => {
      const command = NAMES.find((known) => argv.some((word) => word === known));
      expect(run(...argv)).toEqual({ ...NOTHING, command, ...expected });
    },
  );

  it('takes the flags of existing installations together', () => {
    expect(run('daemon', '--poll_interval', '60', '--energy_mode', '--debug')).toMatchObject({
      pollIntervalSeconds: 60,
      energyMode: true,
      debug: true,
    });
  });

  it.each([
    [['--validate-config'], 'check-config', {}],
    [['--validate-config', '--verbose'], 'check-config', { debug: true }],
    [['--validate-only', '--config', 'a', '--env-file', 'b'], 'check-config', { envFile: 'b' }],
    [['--health-check'], 'health-check', { json: false }],
    [['--health-check', '--format', 'json'], 'health-check', { json: true }],
    [['--status'], 'status', {}],
    [['--once'], 'once', { dryRun: false }],
    [['--once', '--dry-run'], 'once', { dryRun: true }],
    [['--dry-run', '--verbose'], 'daemon', { dryRun: true, debug: true }],
  ] satisfies (readonly [readonly string[], string, Partial<Arguments>])[])(
    'takes %j for a command, as existing installations have it',
    (argv, command, expected) => {
      expect(run(...argv)).toMatchObject({ command, ...expected });
    },
  );

  it('takes a node for a container by its id', () => {
    for (const command of ['status', 'explain', 'backups', 'rollback']) {
      expect(run(command, '101', '--node', 'lab')).toMatchObject({ node: 'lab', vmid: 101 });
      expect(parseArguments([command, 'web', '--node', 'lab'])).toMatchObject({
        message: "--node takes the id of a container, not a name such as 'web'",
      });
    }
    expect(run('status', '--node', 'lab')).toMatchObject({ node: 'lab' });
  });

  it.each([
    [['--status', '--once'], '--status and --once do not go together: each is a command'],
    [
      ['--validate-config', '--health-check'],
      '--validate-config and --health-check do not go together: each is a command',
    ],
    [['--once', '--rollback'], '--rollback and --once do not go together: each is a command'],
  ])('takes no two flags of different commands: %j', (argv, message) => {
    expect(parseArguments(argv)).toEqual({ kind: 'wrong', message, command: undefined });
  });

  it('takes two flags of the same command', () => {
    expect(run('--validate-config', '--validate-only')).toMatchObject({ command: 'check-config' });
  });

  it('takes no such flag beside a command', () => {
    expect(parseArguments(['--status', 'once'])).toMatchObject({
      kind: 'wrong',
      message: '--status stands without a command: it is the same as status',
    });
  });

  it.each([
    [['--help'], undefined],
    [['-h'], undefined],
    [['daemon', '--help'], 'daemon'],
    [['--help', 'rollback', '--all'], 'rollback'],
    [['--help', 'nonsense'], undefined],
    [['--help', '--version'], undefined],
    [['help'], undefined],
    [['help', 'status'], 'status'],
  ])('shows help for %j', (argv, command) => {
    const parsed = parseArguments(argv);
    expect(parsed.kind).toBe('help');
    if (parsed.kind === 'help') expect(parsed.command?.name).toBe(command);
  });

  it.each(['--version', '-V', 'version'])('shows the version for %s', (word) => {
    expect(parseArguments([word])).toEqual({ kind: 'version' });
  });

  it('says all that there is if nothing was said', () => {
    expect(parseArguments([])).toEqual({ kind: 'bare' });
  });

  it.each([
    [['daemon', '--poll-interval', '3'], { pollIntervalSeconds: 3 }],
    [
      ['daemon', '--poll-interval=3', '--energy-mode'],
      { pollIntervalSeconds: 3, energyMode: true },
    ],
    [['once', '--dry_run'], { dryRun: true }],
    [['rollback', '101', '--other_guest'], { otherGuest: true }],
  ] satisfies (readonly [readonly string[], Partial<Arguments>])[])(
    'takes %j, whichever dashes are typed',
    (argv, expected) => {
      expect(run(...argv)).toMatchObject(expected);
    },
  );

  it('leaves what follows -- as it was typed', () => {
    expect(run('status', '--', 'dry_run')).toMatchObject({ guestName: 'dry_run' });
  });
});

describe('backups and rollback', () => {
  const ID = '20261121T224402.123Z-0a1b2c3d';

  it.each([
    [['backups'], {}],
    [['backups', '101'], { vmid: 101 }],
    [['backups', '--json', '101'], { vmid: 101, json: true }],
    [['health-check', '--format', 'json'], { command: 'health-check', json: true }],
    [['health-check', '--format', 'text'], { command: 'health-check', json: false }],
    [['--config', 'a', '--sysroot', 'b', 'backups'], { configFile: 'a', sysroot: 'b' }],
    [['rollback', '101'], { vmid: 101 }],
    [['rollback', '999999999', '--dry-run'], { vmid: 999_999_999, dryRun: true }],
    [['rollback', '101', '--to', '2026-11-21'], { vmid: 101, to: time('2026-11-21') }],
    [['rollback', '101', '--to', '2026-11-21 22:04'], { vmid: 101, to: time('2026-11-21 22:04') }],
    [
      ['rollback', '--to=2026-11-21T22:04:45', '101'],
      { vmid: 101, to: time('2026-11-21 22:04:45') },
    ],
    [['rollback', '101', '--to', ID], { vmid: 101, to: { kind: 'id', id: ID } }],
    [['rollback', '--all'], { all: true }],
    [['rollback', '--all', '--to', '2026-11-21'], { all: true, to: time('2026-11-21') }],
    [['--rollback'], {}],
    [['--rollback', '--debug', '--dry-run'], { debug: true, dryRun: true }],
  ])('takes %j', (argv, expected) => {
    const command = argv.includes('backups') ? 'backups' : 'rollback';
    expect(run(...argv)).toEqual({ ...NOTHING, command, ...expected });
  });

  it.each([
    [['rollback'], 'rollback needs the id or the name of a container, or --all'],
    [
      ['rollback', '--to', '2026-11-21'],
      'rollback needs the id or the name of a container, or --all',
    ],
    [['rollback', '--all', '101'], "--all is every container, so '101' does not go with it"],
    [
      ['rollback', '101', '--to', '2026-11-21', '22:04'],
      "rollback takes one container, '22:04' is too much; a time that contains a blank needs " +
        'quotes',
    ],
    [['backups', '101', '102'], "backups takes one container, '102' is too much"],
    [
      ['rollback', '--all', '--to', ID],
      'an id names one backup of one container, so it does not go with --all',
    ],
    [
      ['--rollback', 'daemon'],
      '--rollback stands without a command: it is the same as rollback --all',
    ],
    [
      ['--rollback', 'rollback', '101'],
      '--rollback stands without a command: it is the same as rollback --all',
    ],
    [['backups', '--dry-run'], '--dry-run does not go with backups'],
    [['backups', '--all'], '--all does not go with backups. Without a name, backups is about all'],
    [['daemon', '--to', '2026-11-21'], '--to does not go with daemon'],
    [['rollback', '101', '--json'], '--json does not go with rollback'],
    [['once', '--json'], '--json does not go with once'],
    [['once', '--format', 'json'], '--format does not go with once'],
    [['health-check', '--format', 'xml'], "--format takes text or json, not 'xml'"],
  ])('%j is wrong', (argv, message) => {
    expect(parseArguments(argv)).toMatchObject({ kind: 'wrong', message });
  });

  it.each(['nextcloud', 'Web-1', 'db.example.org', '1e3', 'CT-5'])('%j is a name', (guestName) => {
    for (const command of ['backups', 'rollback', 'history', 'status', 'explain', 'export']) {
      expect(run(command, guestName)).toMatchObject({ command, guestName, vmid: undefined });
    }
  });

  it.each(['99', '0101', '', '-5', '1000000000'])('%j is no container', (word) => {
    for (const command of ['backups', 'rollback']) {
      expect(parseArguments([command, '--', word])).toMatchObject({
        kind: 'wrong',
        message: `'${word}' is no container id, a whole number from 100 to 999999999`,
      });
    }
  });

  it.each(['101\n', 'a b', '../etc', 'web-*', 'tag:web', 'pve1/101', '101,102'])(
    '%j is no name',
    (word) => {
      expect(parseArguments(['backups', '--', word])).toMatchObject({
        kind: 'wrong',
        message: `backups takes one guest, by its id or its whole name, not '${word}'`,
      });
    },
  );

  it.each(['', 'tomorrow', '2026-02-30', '2026-11-21 24:00', '24:04', '1795300000'])(
    '--to %j is no time',
    (text) => {
      expect(parseArguments(['rollback', '101', `--to=${text}`])).toMatchObject({
        kind: 'wrong',
        message:
          '--to takes first, own, the id of a backup, a time such as 03:00, yesterday, ' +
          `2026-11-21 or '2026-11-21 22:04', or a span such as 30m, 2h30m or 7d, not '${text}'`,
      });
    },
  );
});

describe('status, explain and history', () => {
  it.each([
    [['status', '--json'], { command: 'status', json: true }],
    [['explain', '101'], { command: 'explain', vmid: 101 }],
    [['explain', 'web'], { command: 'explain', guestName: 'web' }],
    [['status', '101'], { command: 'status', vmid: 101 }],
    [['status', 'web'], { command: 'status', guestName: 'web' }],
    [['explain', '--json', '101'], { command: 'explain', vmid: 101, json: true }],
    [['history', '101', '--json'], { command: 'history', vmid: 101, json: true }],
    [
      ['export', '101', '--since', '2h', '--out', '/a.csv'],
      { command: 'export', vmid: 101, since: { kind: 'span', ms: 7_200_000 }, outFile: '/a.csv' },
    ],
    [['history', '--since', 'yesterday'], { since: { kind: 'day', ago: 1 } }],
    [['rollback', '101', '--to', 'yesterday'], { to: { kind: 'day', ago: 1 } }],
    [['rollback', '101', '--to', '2h30m ago'], { to: { kind: 'span', ms: 9_000_000 } }],
    [['explain', '101', '--at', '3:00'], { vmid: 101, at: { kind: 'clock', text: '03:00' } }],
    [['history', '101', '--all'], { vmid: 101, all: true }],
    [['status', '--columns', 'vmid, NOW'], { view: { columns: ['vmid', 'now'] } }],
    [['history', '--since', '2h'], { command: 'history', since: { kind: 'span', ms: 7_200_000 } }],
    [
      ['history', '--since', '2026-11-21 22:04', '101'],
      { command: 'history', vmid: 101, since: time('2026-11-21 22:04') },
    ],
    [['--config', 'a', '--sysroot', 'b', 'status'], { configFile: 'a', sysroot: 'b' }],
  ])('takes %j', (argv, expected) => {
    expect(run(...argv)).toMatchObject(expected);
  });

  it.each([
    [['explain'], 'explain needs the id or the name of a container, or the name of a group'],
    [['explain', '101', '102'], "explain takes one container, '102' is too much"],
    [
      ['explain', '101', '--at', '2h', 'ago'],
      "explain takes one container, 'ago' is too much; a time that contains a blank needs quotes",
    ],
    [['explain', '99'], "'99' is no container id, a whole number from 100 to 999999999"],
    [['status', '101', '102'], "status takes one container, '102' is too much"],
    [['members', '101'], "members stands alone, '101' is too much"],
    [
      ['history', '101', '22:04'],
      "history takes one container, '22:04' is too much; a time that contains a blank needs quotes",
    ],
    [
      ['history', '--since', 'noon'],
      "--since takes a time such as 03:00, yesterday, 2026-11-21 or '2026-11-21 22:04', or a " +
        "span such as 30m, 2h30m or 7d, not 'noon'",
    ],
    [['status', '--since', '2h'], '--since does not go with status'],
    [['history', '--out', 'a'], '--out does not go with history'],
    [['export', '--json'], '--json does not go with export'],
    [['export', '--out', ''], '--out needs a path, and it is empty'],
    [['export', '101', '102'], "export takes one container, '102' is too much"],
    [['backups', '--all'], '--all does not go with backups. Without a name, backups is about all'],
    [['status', '--sort', 'memroy'], "--sort: unknown column 'memroy'. Did you mean 'memory'?"],
    [['status', '--columns', 'vmid,nam'], "--columns: unknown column 'nam'. Did you mean 'name'?"],
    [['explain', '101', '--dry-run'], '--dry-run does not go with explain'],
  ])('%j is wrong', (argv, message) => {
    expect(parseArguments(argv)).toMatchObject({ kind: 'wrong', message });
  });
});

describe('a wrong use', () => {
  it.each([
    [['--debug'], 'a command is missing'],
    [['104'], "a command is missing before '104'. For one container: lxc-autoscale status 104"],
    [['start'], "unknown command 'start'. To start the service: systemctl start lxc_autoscale"],
    [['frob'], "unknown command 'frob'"],
    [['stat'], "unknown command 'stat'. Did you mean 'status'?"],
    [['daemon', '-v'], "unknown option '-v'. Did you mean '-V' (the version) or '--verbose'?"],
    [['statsu'], "unknown command 'statsu'. Did you mean 'status'?"],
    [['check_config'], "unknown command 'check_config'. Did you mean 'check-config'?"],
    [[''], "unknown command ''"],
    [['toString'], "unknown command 'toString'"],
    [['--', '--help'], "unknown command '--help'. Did you mean 'help'?"],
    [['daemon', 'once'], "daemon stands alone, 'once' is too much"],
    [['daemon', '--frobnicate'], "unknown option '--frobnicate'"],
    [['daemon', '-x'], "unknown option '-x'"],
    [
      ['daemon', '--pol-interval', '3'],
      "unknown option '--pol-interval'. Did you mean '--poll_interval'?",
    ],
    [['rollback', '--dryrun'], "unknown option '--dryrun'. Did you mean '--dry-run'?"],
    [['--halp'], "unknown option '--halp'. Did you mean '--help'?"],
    [['daemon', '--no-debug'], "unknown option '--no-debug'"],
    [['daemon', '--__proto__'], "unknown option '--__proto__'"],
    [['daemon', '--debug=1'], "Option '--debug' does not take an argument"],
    [['daemon', '--config'], '--config needs a value'],
    [['--config', '--debug', 'daemon'], '--config needs a value'],
    [['daemon', '--poll_interval'], '--poll_interval needs a value'],
    [['daemon', '--sysroot='], '--sysroot needs a path, and it is empty'],
    [['--sysroot', '', 'daemon'], '--sysroot needs a path, and it is empty'],
    [['daemon', '--config='], '--config needs a path, and it is empty'],
    [['demo', '--trace='], '--trace needs a path, and it is empty'],
    [['check-config', '--dry-run'], '--dry-run does not go with check-config'],
    [['demo', '--dry-run'], '--dry-run does not go with demo'],
    [['demo', '--config', 'a'], '--config does not go with demo'],
    [['demo', '--sysroot', '/a'], '--sysroot does not go with demo'],
    [['demo', '--debug'], '--debug does not go with demo'],
    [['demo', '--energy_mode'], '--energy_mode does not go with demo'],
    [['demo', '--poll_interval', '3'], '--poll_interval does not go with demo'],
    [['once', '--duration', '60'], '--duration does not go with once'],
    [['daemon', '--trace', 'a'], '--trace does not go with daemon'],
    [['daemon', '--containers', '1'], '--containers does not go with daemon'],
    [['demo', '--containers', '5'], '--containers goes with --trace'],
  ])('%j', (argv, message) => {
    expect(parseArguments(argv)).toMatchObject({ kind: 'wrong', message });
  });

  it.each([
    '0',
    '-1',
    '1.5',
    '1e3',
    '0x10',
    '',
    '86401',
    '1000000000',
    'fast',
    '5x',
    '2d',
    '4G',
    '٣',
  ])('a poll interval of %j', (text) => {
    expect(parseArguments(['daemon', `--poll_interval=${text}`])).toMatchObject({
      kind: 'wrong',
      message:
        '--poll_interval takes a whole number from 1 to 86400, in seconds or with a unit ' +
        `(s, m, h or d), not '${text}'`,
    });
  });

  it.each([
    ['duration', '4', `from 5 to 86400${IN_SECONDS}`],
    ['duration', '25h', `from 5 to 86400${IN_SECONDS}`],
    ['containers', '5m', 'from 1 to 300'],
    ['containers', '0', 'from 1 to 300'],
    ['containers', '301', 'from 1 to 300'],
  ])('a --%s of %s', (option, text, bounds) => {
    expect(parseArguments(['demo', '--trace=a.csv', `--${option}=${text}`])).toMatchObject({
      kind: 'wrong',
      message: `--${option} takes a whole number ${bounds}, not '${text}'`,
    });
  });

  it('says whose help to read', () => {
    const about = (...argv: readonly string[]) => {
      const parsed = parseArguments(argv);
      return parsed.kind === 'wrong' ? parsed.command?.name : parsed.kind;
    };
    expect(about('rollback')).toBe('rollback');
    expect(about('once', '--jason')).toBe('once');
    expect(about('statsu')).toBeUndefined();
  });

  it('is told in one line, whatever was typed', () => {
    for (const argv of [['--config', '-h', 'daemon'], ['--a. b'], ['daemon', '--config', '--x']]) {
      const parsed = parseArguments(argv);
      expect(parsed.kind).toBe('wrong');
      if (parsed.kind === 'wrong') expect(parsed.message).not.toMatch(/\n|'--config=-XYZ'/);
    }
  });
});

describe('a channel to test', () => {
  it.each([
    [['pager'], /^unknown channel 'pager', known are gotify, email, ntfy, webhook, proxmox/],
    [['Telegram'], /^telegram is reached by the webhook \(webhook_format\): notify-test webhook$/],
    [['Gotfy'], /^unknown channel 'Gotfy'\. Did you mean 'gotify'\?$/],
    [['gotify', 'email'], /^one channel at a time, 'email' is too much$/],
    [['gotify', '--json'], /^--json does not go with notify-test$/],
  ])('is refused: %j', (words, message) => {
    expect(parseArguments(['notify-test', ...words])).toMatchObject({
      kind: 'wrong',
      message: expect.stringMatching(message),
    });
  });
});

describe('the commands that make a configuration', () => {
  it.each([
    [['migrate-config', 'a.conf'], { oldFile: 'a.conf' }],
    [['migrate-config', 'a.conf', '--out', 'b'], { oldFile: 'a.conf', outFile: 'b' }],
    [['configure', '--for', '5', '--yes'], { measureSeconds: 5, yes: true }],
    [['configure', '--out', '/b.yaml', '--sysroot', '/n'], { outFile: '/b.yaml', sysroot: '/n' }],
  ] satisfies (readonly [readonly string[], Partial<Arguments>])[])('take %j', (argv, expected) => {
    expect(run(...argv)).toMatchObject(expected);
  });

  it.each([
    [['migrate-config'], 'migrate-config needs the path of a file'],
    [['migrate-config', ''], 'migrate-config needs the path of a file'],
    [['migrate-config', 'a', 'b'], "migrate-config takes one file, 'b' is too much"],
    [['migrate-config', 'a', '--config', 'b'], '--config does not go with migrate-config'],
    [['migrate-config', 'a', '--out='], '--out needs a path, and it is empty'],
    [
      ['configure', '--for', '0'],
      `--for takes a whole number from 1 to 3600${IN_SECONDS}, not '0'`,
    ],
    [['status', '--yes'], '--yes does not go with status'],
  ])('refuse %j', (argv, message) => {
    expect(parseArguments(argv)).toMatchObject({ kind: 'wrong', message });
  });
});
