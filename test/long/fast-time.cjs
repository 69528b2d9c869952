'use strict';
/**
 * Makes time run faster in a process, from outside: `node --require ./test/long/fast-time.cjs ...`.
 * Date, performance.now, process.hrtime, setTimeout, setInterval, timers/promises and
 * AbortSignal.timeout follow the made-up clock; setImmediate, nextTick and what Node itself times do
 * not. Settings, all from the environment:
 *
 *   FAST_TIME_FACTOR  so many times faster than real; default 1
 *   FAST_TIME_START   the wall clock at the origin, milliseconds since 1970; default: the real one
 *   FAST_TIME_ORIGIN  the real process.hrtime (nanoseconds) of the origin, so that processes may
 *                     share a clock; default: now
 *   FAST_TIME_UPTIME  the clock since the boot at the origin, milliseconds; default: the real one
 *   FAST_TIME_SKIP    1: as well, whenever the process only waits for a timer, the clock jumps to
 *                     it. While it computes, reads or writes, while a child process runs or while
 *                     somebody is connected to it, time runs by the factor. A timer that is unref'd
 *                     is no reason to stop a jump.
 *   FAST_TIME_FD      with SKIP: a socket on which each jump is announced ("MILLISECONDS\n", the
 *                     wall clock) before it happens, and which has to answer with one line. So a
 *                     simulated world can be brought up to that time first.
 */
const fs = require('node:fs');
const net = require('node:net');
const timers = require('node:timers');
const timersPromises = require('node:timers/promises');
const util = require('node:util');
const { performance } = require('node:perf_hooks');

const { env } = process;
const factor = Number(env.FAST_TIME_FACTOR ?? 1);
if (!(factor > 0)) throw new Error('FAST_TIME_FACTOR must be a number above 0');
const skips = env.FAST_TIME_SKIP === '1';
const peer = env.FAST_TIME_FD === undefined ? undefined : Number(env.FAST_TIME_FD);

const real = {
  Date,
  hrtime: process.hrtime.bigint.bind(process.hrtime),
  setTimeout: globalThis.setTimeout,
  setInterval: globalThis.setInterval,
  clearTimeout: globalThis.clearTimeout,
  clearInterval: globalThis.clearInterval,
  setImmediate: globalThis.setImmediate,
};

// --- The clock ----------------------------------------------------------------------------------

const loadedNs = real.hrtime();
const originNs = env.FAST_TIME_ORIGIN === undefined ? loadedNs : BigInt(env.FAST_TIME_ORIGIN);
const uptimeNs =
  env.FAST_TIME_UPTIME === undefined ? originNs : BigInt(env.FAST_TIME_UPTIME) * 1_000_000n;
const startMs = Number(env.FAST_TIME_START ?? real.Date.now() - msSince(originNs));
/** What was jumped over, and real time that a peer has taken, which is none of ours. */
let jumpedMs = 0;

function msSince(ns) {
  return Number(real.hrtime() - ns) / 1e6;
}

/** Milliseconds of the made-up clock since the origin. */
const elapsedMs = () => msSince(originNs) * factor + jumpedMs;
const wallMs = () => startMs + elapsedMs();
const loadedMs = elapsedMs();
const monotonicNs = () => uptimeNs + BigInt(Math.round(elapsedMs() * 1e6));

globalThis.Date = new Proxy(real.Date, {
  apply: () => new real.Date(Math.floor(wallMs())).toString(),
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length > 0 ? args : [Math.floor(wallMs())], newTarget),
  get: (target, key) => (key === 'now' ? now : Reflect.get(target, key)),
});
function now() {
  return Math.floor(wallMs());
}

process.hrtime = Object.assign(
  (since) => {
    const ns = monotonicNs() - (since ? BigInt(since[0]) * 1_000_000_000n + BigInt(since[1]) : 0n);
    return [Number(ns / 1_000_000_000n), Number(ns % 1_000_000_000n)];
  },
  { bigint: monotonicNs },
);
Object.defineProperties(performance, {
  now: { value: () => elapsedMs() - loadedMs },
  timeOrigin: { value: startMs + loadedMs },
});

// --- Timers -------------------------------------------------------------------------------------

/** Timers that wait: the real one -> when it is due, and what it does. Kept only for jumps. */
const waiting = new Map();

const realDelay = (ms) => Math.min(2 ** 31 - 1, Math.max(1, (Number(ms) || 1) / factor));

function setTimeoutFast(callback, ms, ...args) {
  if (!skips) return real.setTimeout(callback, realDelay(ms), ...args);
  return remember(callback, ms, args, undefined);
}

function setIntervalFast(callback, ms, ...args) {
  if (!skips) return real.setInterval(callback, realDelay(ms), ...args);
  return remember(callback, ms, args, Math.max(1, Number(ms) || 1));
}

function remember(callback, ms, args, everyMs) {
  const delayMs = Math.max(1, Number(ms) || 1);
  const timer = everyMs === undefined ? real.setTimeout(run, realDelay(ms)) : undefined;
  const handle = timer ?? real.setInterval(run, realDelay(ms));
  const entry = { dueMs: elapsedMs() + delayMs, run };
  function run() {
    if (everyMs === undefined) {
      waiting.delete(handle);
      real.clearTimeout(handle);
    } else entry.dueMs = elapsedMs() + everyMs;
    callback(...args);
  }
  const { refresh } = handle;
  handle.refresh = () => {
    entry.dueMs = elapsedMs() + delayMs;
    waiting.set(handle, entry);
    return refresh.call(handle);
  };
  waiting.set(handle, entry);
  return handle;
}

function clear(timer) {
  // A timer may be named by the number that it turns into.
  for (const handle of typeof timer === 'object' ? [timer] : waiting.keys()) {
    if (handle === timer || Number(handle) === Number(timer)) waiting.delete(handle);
  }
  real.clearTimeout(timer);
}

async function pause(ms, value, { signal, ref = true } = {}) {
  await new Promise((resolve, reject) => {
    const aborted = () => {
      clear(timer);
      reject(Object.assign(new Error('The operation was aborted'), { name: 'AbortError' }));
    };
    const timer = setTimeoutFast(() => {
      signal?.removeEventListener('abort', aborted);
      resolve();
    }, ms);
    if (!ref) timer.unref();
    if (signal?.aborted) aborted();
    else signal?.addEventListener('abort', aborted, { once: true });
  });
  return value;
}

async function* pauses(ms, value, options) {
  for (;;) yield await pause(ms, value, options);
}

Object.defineProperty(setTimeoutFast, util.promisify.custom, { value: pause });
const names = { setTimeout: setTimeoutFast, setInterval: setIntervalFast };
Object.assign(names, { clearTimeout: clear, clearInterval: clear });
Object.assign(globalThis, names);
Object.assign(timers, names);
Object.assign(timersPromises, { setTimeout: pause, setInterval: pauses });

AbortSignal.timeout = (ms) => {
  const controller = new AbortController();
  const reason = new DOMException('The operation was aborted due to timeout', 'TimeoutError');
  setTimeoutFast(() => controller.abort(reason), ms).unref();
  return controller.signal;
};

// --- Jumps --------------------------------------------------------------------------------------

/** What the process may be waiting for besides timers, as Node names it. */
const WORK = /^(FSReq|ProcessWrap|GetAddrInfo|GetNameInfo|Shutdown|Write|TCPSocket|TLS|.*Connect)/;
/** Those of the process itself are open all the time; one more is a socket that is waited for. */
const OWN_PIPES = [process.stdout, process.stderr].filter(
  ({ _handle }) => _handle?.constructor.name === 'Pipe',
).length;
/** So many turns of the event loop without anything to do, and there is nothing to do. */
const QUIET_TURNS = 2;
/** To ask at each turn would cost the process more than what it waits for. */
const LOOK_AGAIN_MS = 1;
let quietTurns = 0;
/** Node does not name a socket that is unref'd, and its time limits would run out in a jump. */
const visitors = new Set();

const { emit } = net.Server.prototype;
net.Server.prototype.emit = function (event, ...args) {
  const [socket] = args;
  if (event === 'connection' && socket instanceof net.Socket) {
    visitors.add(socket);
    socket.once('close', () => visitors.delete(socket));
  }
  return emit.call(this, event, ...args);
};

function look() {
  fireDue();
  if (isAtWork()) {
    quietTurns = 0;
    return lookLater();
  }
  const nextMs = nextDueMs();
  if (nextMs === undefined) return lookLater();
  quietTurns += 1;
  if (quietTurns < QUIET_TURNS) return lookNextTurn();
  quietTurns = 0;
  jumpTo(nextMs);
  lookNextTurn();
}

function isAtWork() {
  if (visitors.size > 0) return true;
  const active = process.getActiveResourcesInfo();
  const pipes = active.filter((name) => name === 'PipeWrap').length;
  return pipes > OWN_PIPES || active.some((name) => WORK.test(name));
}

const lookNextTurn = () => void real.setImmediate(look);
const lookLater = () => void real.setTimeout(look, LOOK_AGAIN_MS).unref();

/** The next timer that the process lives for. */
function nextDueMs() {
  let nextMs;
  for (const [timer, { dueMs }] of waiting) {
    if (timer.hasRef() && !(dueMs >= nextMs)) nextMs = dueMs;
  }
  return nextMs;
}

function jumpTo(dueMs) {
  const behindMs = dueMs - elapsedMs();
  if (behindMs > 0) {
    if (peer !== undefined) announce(startMs + dueMs);
    jumpedMs += dueMs - elapsedMs();
  }
  fireDue();
}

/** Waits for the answer with the whole process: nothing may happen before the time has come. */
function announce(toMs) {
  fs.writeSync(peer, `${toMs.toFixed(3)}\n`);
  const answer = Buffer.alloc(64);
  for (let length = 0; !answer.subarray(0, length).includes(0x0a); ) {
    const read = fs.readSync(peer, answer, length, answer.length - length, null);
    if (read === 0) process.exit(70);
    length += read;
  }
}

function fireDue() {
  const nowMs = elapsedMs();
  const due = [];
  for (const entry of waiting) if (entry[1].dueMs <= nowMs) due.push(entry);
  due.sort(([, one], [, other]) => one.dueMs - other.dueMs);
  for (const [handle, { run }] of due) if (waiting.has(handle)) run();
}

if (skips) lookLater();
