import { mkdirSync, statSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { createPaths, type Paths } from '../../../../src/node/local/paths.ts';
import { Monitors } from '../../../../src/node/local/qemu/machine-monitors.ts';
import { createMonitorAccess } from '../../../../src/node/local/qemu/machine-qmp.ts';
import type { Clock } from '../../../../src/node/port.ts';
import { createFarMonitors } from '../../../../src/node/ssh/far-monitors.ts';
import { PATIENCE_MS } from '../../../patience.ts';
import { connect } from '../../ssh/pipe.ts';
import { manualClock, plant, temporaryDirectory, vmid } from '../world.ts';

const ID = vmid(200);
const MIB = 1024 * 1024;
const open: Server[] = [];
afterEach(() => {
  for (const server of open.splice(0)) server.close();
});

const STATS = {
  'stat-total-memory': 3900 * MIB,
  'stat-free-memory': 200 * MIB,
  'stat-swap-in': 0,
  'stat-available-memory': 3000 * MIB,
  'stat-disk-caches': -1,
};

/** Answers as QEMU does; `null` stands for no answer at all. */
function answerTo(line: string, nowS: number): unknown {
  const { execute } = JSON.parse(line);
  if (execute === 'query-status') return { return: { running: true } };
  if (execute === 'query-balloon') return { return: { actual: 4096 * MIB } };
  if (execute === 'query-cpus-fast') return { return: [{}, {}] };
  if (execute === 'qom-get') return { return: { stats: STATS, 'last-update': nowS } };
  return { return: {} };
}

/** By which the monitors are reached, with the wall clock that its node has. */
const REACHED = {
  'of this host': (paths: Paths, clock: Clock) => ({
    access: createMonitorAccess(paths, clock),
    wallMs: () => clock.wallMs(),
  }),
  'of a far node': async (paths: Paths) => {
    const connection = connect();
    // It takes its time to start.
    await connection.request('L', ['f/proc/uptime'], PATIENCE_MS);
    const access = createFarMonitors(connection, paths, PATIENCE_MS);
    return { access, wallMs: () => Date.now() };
  },
};
type Serve = (socket: Socket, nowS: number) => void;

async function worldIn(reached: keyof typeof REACHED, serve: Serve) {
  const root = temporaryDirectory();
  const clock = manualClock();
  const { access, wallMs } = await REACHED[reached](createPaths(root), clock);
  const socket = join(root, 'run/qemu-server/200.qmp');
  mkdirSync(dirname(socket), { recursive: true });
  let talks = 0;
  const server = createServer((client) => {
    talks += 1;
    client.on('error', () => {});
    serve(client, wallMs() / 1000);
  });
  open.push(server);
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const monitors = new Monitors(access, clock);
  return { root, clock, monitors, talks: () => talks };
}

const qemu = (socket: Socket, nowS: number): void => {
  socket.write('{"QMP": {"version": {}, "capabilities": []}}\r\n');
  socket.on('data', (chunk) => {
    for (const line of chunk.toString().trim().split('\n')) {
      socket.write('{"event": "RTC_CHANGE"}\r\n');
      socket.write(`${JSON.stringify(answerTo(line, nowS))}\r\n`);
    }
  });
};

describe.each(['of this host', 'of a far node'] as const)(
  'the monitor of a machine %s',
  (reached) => {
    const worldWith = (serve: Serve) => worldIn(reached, serve);

    it('is asked once in 30 s, and what it said holds for 90 s', async () => {
      const { clock, monitors, talks } = await worldWith(qemu);
      await monitors.look([ID]);
      await expect
        .poll(() => monitors.answer(ID))
        .toMatchObject({
          value: { isRunning: true, vcpus: 2, actualBytes: { value: 4096 * MIB } },
        });
      clock.advance(29_000);
      await monitors.look([ID]);
      expect(talks()).toBe(1);
      clock.advance(1000);
      await monitors.look([ID]);
      await expect.poll(talks).toBe(2);
      await expect.poll(() => monitors.answer(ID).ok).toBe(true);
      clock.advance(91_000);
      expect(monitors.answer(ID)).toMatchObject({ ok: false, why: 'unreadable' });
    });

    it('that does not answer holds a cycle up once, and is left alone for a minute', async () => {
      const { clock, monitors, talks } = await worldWith(() => {});
      await monitors.look([ID]);
      expect(monitors.answer(ID)).toMatchObject({ ok: false, why: 'first-sample' });
      await expect
        .poll(() => monitors.answer(ID))
        .toMatchObject({ detail: expect.stringContaining('no greeting within 3000 ms') });
      clock.advance(59_000);
      await monitors.look([ID]);
      expect(talks()).toBe(1);
      clock.advance(1000);
      await monitors.look([ID]);
      await expect.poll(talks).toBe(2);
    });

    it.each([
      ['no QMP at all', 'hello\n', 'it does not speak QMP'],
      ['another greeting', '{"hello": 1}\n', 'it does not greet as QMP does'],
      ['no end', `{"x": "${'y'.repeat(2 * MIB)}`, 'it does not end'],
    ])('that says %s is not believed', async (_what, text, expected) => {
      const { monitors } = await worldWith((socket) => socket.write(text));
      await monitors.look([ID]);
      await expect
        .poll(() => monitors.answer(ID))
        .toMatchObject({ ok: false, detail: expect.stringContaining(expected) });
    });

    it('that hangs up in the middle, or is not there, is missing', async () => {
      const { monitors } = await worldWith((socket) => socket.end('{"QMP": {}}\r\n{"ret'));
      await monitors.look([ID, vmid(201)]);
      await expect
        .poll(() => monitors.answer(ID))
        .toMatchObject({ detail: expect.stringContaining('hung up') });
      await expect.poll(() => monitors.answer(vmid(201))).toMatchObject({ why: 'absent' });
    });

    it('is not asked while Proxmox VE holds the lock of its configuration', async () => {
      const { root, monitors, talks } = await worldWith(qemu);
      const lock = 'run/lock/qemu-server/lock-200.conf';
      plant(root, { [lock]: '' });
      const { ino } = statSync(join(root, lock));
      const held = `1: FLOCK  ADVISORY  WRITE 4711 00:1a:${ino} 0 EOF\n`;
      plant(root, { 'proc/locks': held });
      await monitors.look([ID]);
      expect(talks()).toBe(0);
      expect(monitors.answer(ID)).toMatchObject({
        detail: 'another operation holds the lock of its configuration',
      });
      plant(root, { 'proc/locks': held.replace(`:${ino} `, `:${ino}9 `) });
      await monitors.again(ID);
      expect(monitors.answer(ID).ok).toBe(true);
      // What it said before a change says nothing of what has become of that.
      plant(root, { 'proc/locks': held });
      await monitors.look([ID]);
      expect(monitors.answer(ID).ok).toBe(true);
      await monitors.again(ID);
      expect(monitors.answer(ID)).toMatchObject({ detail: expect.stringMatching(/^another op/) });
    });

    it('has one conversation at a time, and what is asked anew is asked after it', async () => {
      const greet: (() => void)[] = [];
      const { monitors, talks } = await worldWith((socket, nowS) => {
        greet.push(() => qemu(socket, nowS));
      });
      const all = [monitors.look([ID]), monitors.again(ID), monitors.again(ID)];
      for (const count of [1, 2]) {
        await expect.poll(talks).toBe(count);
        greet[count - 1]?.();
      }
      await Promise.all(all);
      expect([talks(), monitors.answer(ID).ok]).toEqual([2, true]);
    });

    it('that has not answered is not asked anew before it is due', async () => {
      const { clock, monitors, talks } = await worldWith((socket) => socket.end());
      await monitors.again(ID);
      await monitors.again(ID);
      expect(talks()).toBe(1);
      clock.advance(60_000);
      await monitors.again(ID);
      expect(talks()).toBe(2);
    });

    it('of a guest whose driver told before the clock was set back tells nothing', async () => {
      const { monitors } = await worldWith((socket, nowS) => qemu(socket, nowS + 120));
      await monitors.look([ID]);
      const detail = expect.stringMatching(/^what its balloon driver told is 1[12]\d s ahead/);
      await expect
        .poll(() => monitors.answer(ID))
        .toMatchObject({ value: { stats: { ok: false, detail } } });
    });

    it('of a guest whose driver is silent tells nothing of its memory', async () => {
      const { monitors } = await worldWith((socket, nowS) => qemu(socket, nowS - 120));
      await monitors.look([ID]);
      // The clock of a far node goes on between the two.
      const detail = expect.stringMatching(/^its balloon driver has told nothing for 1[12]\d s$/);
      await expect
        .poll(() => monitors.answer(ID))
        .toMatchObject({ value: { stats: { ok: false, detail } } });
    });
  },
);
