'use strict';

/**
 * For `node --require`, before anything else: the time of this process moves only when another
 * process says so, over descriptor 3. Whenever the program has nothing left to do but to wait, it
 * asks, and stands still until it is answered. So a day passes in a second, and what happens when
 * is the same in each run, however busy the machine is.
 *
 * STEPPED_TIME is {monotonicMs, wallMs} to begin with. Asked, one line of JSON: {nextMs: until the
 * next timer, pids: programs that run, pipes: how many of theirs are open, told}. Answered, one line:
 * {waitMs}: look again after so much real time, or {advanceMs, wallMs, tell, signal}: time passes,
 * the wall clock is set, `tell` goes to the listener, and a signal comes.
 *
 * `globalThis[Symbol.for('stepped')]` is where another file listens: {onTold(value), told()}.
 */

const childProcess = require('node:child_process');
const fs = require('node:fs');
const { performance } = require('node:perf_hooks');
const timers = require('node:timers');
const timersPromises = require('node:timers/promises');
const util = require('node:util');

const LINE = 3;
/** With programs under way, so much real time goes by before time may be asked for. */
const PACE_MS = 4;
const real = { ...fs, setImmediate, setTimeout, now: Date.now };

const begin = JSON.parse(process.env.STEPPED_TIME);
let nowMs = begin.monotonicMs;
let wallAheadMs = begin.wallMs - begin.monotonicMs;
const wallMs = () => Math.floor(nowMs + wallAheadMs);

// Clocks ---------------------------------------------------------------------------------------

const RealDate = Date;
class SteppedDate extends RealDate {
  constructor(...given) {
    if (given.length === 0) super(wallMs());
    else super(...given);
  }
  static now() {
    return wallMs();
  }
  static [Symbol.hasInstance](value) {
    return value instanceof RealDate;
  }
}
globalThis.Date = SteppedDate;
const nanoseconds = () => BigInt(Math.round(nowMs * 1e6));
process.hrtime = Object.assign(
  (before = [0, 0]) => {
    const total = nanoseconds() - (BigInt(before[0]) * 1_000_000_000n + BigInt(before[1]));
    return [Number(total / 1_000_000_000n), Number(total % 1_000_000_000n)];
  },
  { bigint: nanoseconds },
);
// Node 18.20 lets nobody assign it.
Object.defineProperty(performance, 'now', { value: () => nowMs - begin.monotonicMs });
process.uptime = () => (nowMs - begin.monotonicMs) / 1000;

// Timers ---------------------------------------------------------------------------------------

let made = 0;
const waiting = new Set();

class Timer {
  constructor(call, ms, every) {
    const delay = Number(ms);
    this.delayMs = delay >= 1 && delay < 2 ** 31 ? delay : 1;
    this.call = call;
    this.every = every;
    this.order = made++;
    this.refresh();
  }
  refresh() {
    this.atMs = nowMs + this.delayMs;
    waiting.add(this);
    return this;
  }
  close() {
    waiting.delete(this);
    return this;
  }
  ref() {
    return this;
  }
  unref() {
    return this;
  }
  hasRef() {
    return true;
  }
  [Symbol.toPrimitive]() {
    return this.order;
  }
}

const clear = (timer) => {
  if (timer instanceof Timer) timer.close();
  else for (const each of waiting) if (each.order === timer) each.close();
};
const set = {
  setTimeout: (call, ms, ...given) => new Timer(() => call(...given), ms, false),
  setInterval: (call, ms, ...given) => new Timer(() => call(...given), ms, true),
};

function after(ms, value, { signal } = {}) {
  return new Promise((resolve, reject) => {
    const stopped = () => reject(signal.reason ?? new Error('aborted'));
    if (signal?.aborted) return stopped();
    const timer = new Timer(() => resolve(value), ms, false);
    signal?.addEventListener('abort', () => {
      timer.close();
      stopped();
    });
    return undefined;
  });
}

set.setTimeout[util.promisify.custom] = after;
for (const place of [globalThis, timers]) {
  Object.assign(place, set, { clearTimeout: clear, clearInterval: clear });
}
timersPromises.setTimeout = after;
AbortSignal.timeout = (ms) => {
  const controller = new AbortController();
  new Timer(() => controller.abort(), ms, false);
  return controller.signal;
};

function nextTimer() {
  let next;
  for (const timer of waiting) {
    const sooner = next === undefined || timer.atMs < next.atMs;
    if (sooner || (timer.atMs === next.atMs && timer.order < next.order)) next = timer;
  }
  return next;
}

function fire(timer) {
  waiting.delete(timer);
  if (timer.every) timer.refresh();
  timer.call();
}

// Programs that this one runs ------------------------------------------------------------------

const pids = new Set();
const realSpawn = childProcess.spawn;
childProcess.spawn = (...given) => {
  const child = realSpawn(...given);
  const { pid } = child;
  if (pid !== undefined) {
    pids.add(pid);
    child.once('exit', () => pids.delete(pid));
  }
  return child;
};

// The conversation -----------------------------------------------------------------------------

const port = { onTold: () => {}, told: () => undefined };
globalThis[Symbol.for('stepped')] = port;

/** Rounds of the event loop after which nothing more comes of what has just happened. */
const QUIET_ROUNDS = 4;
let quiet = 0;
let paced = false;
let received = '';

const again = () => real.setImmediate(turn);

function turn() {
  const timer = nextTimer();
  if (timer !== undefined && timer.atMs <= nowMs) {
    quiet = 0;
    again();
    return fire(timer);
  }
  const resources = process.getActiveResourcesInfo();
  if (resources.some((name) => /Req|WriteWrap|ShutdownWrap|ConnectWrap/.test(name))) {
    quiet = 0;
    return again();
  }
  quiet += 1;
  if (quiet < QUIET_ROUNDS) return again();
  const pipes = resources.filter((name) => name === 'PipeWrap').length;
  if (pids.size + pipes > 0 && !paced) {
    paced = true;
    return real.setTimeout(look, PACE_MS);
  }
  paced = false;
  return obey(ask({ nextMs: timer && timer.atMs - nowMs, pids: [...pids], pipes }));
}

/** After a pause anything may have happened. */
function look() {
  quiet = 0;
  turn();
}

function ask(question) {
  real.writeSync(LINE, `${JSON.stringify({ ...question, told: port.told() })}\n`);
  const part = Buffer.alloc(65_536);
  while (!received.includes('\n')) {
    const length = real.readSync(LINE, part, 0, part.length, null);
    if (length === 0) process.kill(process.pid, 'SIGKILL');
    received += part.toString('utf8', 0, length);
  }
  const end = received.indexOf('\n');
  const answer = JSON.parse(received.slice(0, end));
  received = received.slice(end + 1);
  return answer;
}

function obey({ waitMs, advanceMs = 0, wallMs: setTo, tell, signal }) {
  quiet = 0;
  if (tell !== undefined) port.onTold(tell);
  if (waitMs !== undefined) return real.setTimeout(look, waitMs);
  nowMs += advanceMs;
  if (setTo !== undefined) wallAheadMs = setTo - nowMs;
  if (signal !== undefined) process.kill(process.pid, signal);
  return again();
}

/** What came last must not be lost; to this there is no answer. */
process.on('exit', () => {
  real.writeSync(LINE, `${JSON.stringify({ pids: [], pipes: 0, told: port.told(), bye: true })}\n`);
});

again();
