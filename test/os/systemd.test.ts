import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createSupervisor } from '../../src/os/systemd.ts';
import { manualClock, temporaryDirectory } from '../node/local/world.ts';
import { until } from '../patience.ts';

const PID = 4711;

/** A `systemd-notify` that writes down how it was called, and fails while a file says so. */
function supervised(variables: Readonly<Record<string, string | undefined>>) {
  const directory = temporaryDirectory();
  const heard = join(directory, 'heard');
  const broken = join(directory, 'broken');
  const program = join(directory, 'systemd-notify');
  const script = [
    '#!/bin/sh',
    `[ -e '${broken}' ] && { echo 'no such socket' >&2; exit 1; }`,
    // Slower for the first message than for those after it.
    `[ -e '${heard}' ] || sleep 0.2`,
    `echo "$NOTIFY_SOCKET $*" >> '${heard}'`,
  ];
  writeFileSync(program, `${script.join('\n')}\n`);
  chmodSync(program, 0o755);
  const clock = manualClock();
  const warnings: string[] = [];
  const env = { PATH: `${directory}:/usr/bin:/bin`, NOTIFY_SOCKET: '/run/notify', ...variables };
  const supervisor = createSupervisor({
    env,
    pid: PID,
    clock,
    log: { warn: (message) => warnings.push(message) },
  });
  // A line may be on its way into the file.
  const messages = (): string[] =>
    existsSync(heard) ? (readFileSync(heard, 'utf8').match(/.+(?=\n)/g) ?? []) : [];
  return { supervisor, clock, warnings, messages, broken };
}

const settled = async (messages: () => string[], count: number): Promise<string[]> => {
  await until(() => messages().length >= count);
  return messages();
};

const WATCHED = { WATCHDOG_USEC: '300000000', WATCHDOG_PID: String(PID) };

describe('a daemon that a service manager has started', () => {
  it('says when it is ready, reloads and stops, in this order', async () => {
    const { supervisor, messages, warnings } = supervised({});
    const all = [supervisor.ready(), supervisor.reloading(), supervisor.ready()];
    await Promise.all([...all, supervisor.stopping()]);
    const socket = '/run/notify';
    expect(messages()).toEqual([
      `${socket} READY=1`,
      `${socket} RELOADING=1`,
      `${socket} READY=1`,
      `${socket} STOPPING=1`,
    ]);
    expect(warnings).toEqual([]);
  });

  it('sends its status along with the next message, once and as one line', async () => {
    const { supervisor, messages } = supervised({});
    supervisor.status('early');
    supervisor.status('8 containers,\n2 changes');
    await supervisor.ready();
    await supervisor.stopping();
    expect(messages()).toEqual([
      '/run/notify READY=1 STATUS=8 containers, 2 changes',
      '/run/notify STOPPING=1',
    ]);
  });

  it('gives a sign of life every third of the limit, however often the loop comes by', async () => {
    const { supervisor, clock, messages } = supervised(WATCHED);
    expect(supervisor.beatIntervalMs).toBe(100_000);
    await supervisor.ready();
    for (let seconds = 0; seconds < 310; seconds += 10) {
      clock.advance(10_000);
      supervisor.beat();
    }
    expect(await settled(messages, 4)).toEqual([
      '/run/notify READY=1 WATCHDOG=1',
      '/run/notify WATCHDOG=1',
      '/run/notify WATCHDOG=1',
      '/run/notify WATCHDOG=1',
    ]);
  });

  it('asks for more time while its first cycle lasts', async () => {
    const { supervisor, clock, messages } = supervised(WATCHED);
    supervisor.beat();
    clock.advance(100_000);
    supervisor.beat();
    expect(await settled(messages, 1)).toEqual(['/run/notify EXTEND_TIMEOUT_USEC=300000000']);
  });

  it('says again at the next look what was not heard, and complains once', async () => {
    const { supervisor, clock, messages, warnings, broken } = supervised(WATCHED);
    writeFileSync(broken, '');
    await supervisor.reloading();
    await supervisor.ready();
    expect(warnings).toEqual([
      'The service manager could not be told of this daemon: ' +
        'systemd-notify: exit code 1 no such socket',
    ]);
    rmSync(broken);
    clock.advance(1);
    supervisor.beat();
    expect(await settled(messages, 1)).toEqual(['/run/notify READY=1 WATCHDOG=1']);
  });
});

describe('nobody is told anything', () => {
  it.each([
    ['without a socket', { ...WATCHED, NOTIFY_SOCKET: undefined }],
    ['with an empty name of a socket', { ...WATCHED, NOTIFY_SOCKET: '' }],
  ])('%s', async (_how, variables) => {
    const { supervisor, clock, messages, warnings } = supervised(variables);
    expect(supervisor.beatIntervalMs).toBeUndefined();
    supervisor.status('busy');
    await supervisor.ready();
    await supervisor.reloading();
    clock.advance(1_000_000);
    supervisor.beat();
    await supervisor.stopping();
    expect(messages()).toEqual([]);
    expect(warnings).toEqual([]);
  });

  it.each([
    ['another process is watched', { ...WATCHED, WATCHDOG_PID: String(PID + 1) }],
    ['there is no watchdog', {}],
    ['the limit is no number', { WATCHDOG_USEC: 'soon' }],
  ])('of a sign of life when %s', async (_when, variables) => {
    const { supervisor, clock, messages } = supervised(variables);
    expect(supervisor.beatIntervalMs).toBeUndefined();
    await supervisor.ready();
    clock.advance(1_000_000);
    supervisor.beat();
    await supervisor.stopping();
    expect(messages()).toEqual(['/run/notify READY=1', '/run/notify STOPPING=1']);
  });
});
