'use strict';

/**
 * For `node --require`: every touch of the outside by a program (files below one directory, and
 * processes that are started) goes by a hook, which may let it be, make it fail, end the process,
 * make over what is read, or write only half.
 *
 * The variable OUTSIDE names a JSON file:
 *   root    only files below it count
 *   log     a file that each touch is appended to, one JSON object a line; left out: none
 *   reads   whether reads are logged too
 *   faults  a list of {match..., action...}, see `scheduled`
 *   hook    a module `(plan) => ({ before(touch), after(touch) })`, asked before the list
 *
 * A touch is {nth, nthOfKind, nthChange, kind, call, path} or, for a command, with argv in the place
 * of path; `nthChange` counts writes and commands together. What a hook returns, all optional:
 *   before: error: 'ENOSPC' | kill: 'SIGKILL' | half: true, alone (a short write) or with one of both
 *           | content: (Buffer) => Buffer, for reads of content | names: (string[]) => string[]
 *   after:  error or kill, once the call has had its effect
 * A call within a call counts once: writeFileSync is one touch, not open, write and close. Threads,
 * sockets and what lies outside the root are left alone. Closing is no touch.
 */

const childProcess = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const { resolve } = require('node:path');
const util = require('node:util');

const plan = JSON.parse(fs.readFileSync(process.env.OUTSIDE, 'utf8'));
const real = { ...fs };
const realSpawn = childProcess.spawn;
const root = resolve(plan.root);
const logFd = plan.log === undefined ? -1 : real.openSync(plan.log, 'a', 0o600);
const hook = plan.hook === undefined ? scheduled(plan.faults ?? []) : require(plan.hook)(plan);

const counts = { read: 0, write: 0, command: 0 };
/** Descriptor -> {path, cursor, content}: `content` stands in for what the file really holds. */
const opened = new Map();
/** What was read of a file last, for a reading that is out of date. */
const lastRead = new Map();
let inside = false;

// The schedule of a plan -----------------------------------------------------------------------

/**
 * The first entry that fits decides. Match: nth, nthOfKind, nthChange, kind, call, path (a part of
 * it), command (a part of the joined arguments), times (how often at most), when ('after').
 * Action: error, kill, half, truncate (bytes kept), text (instead of the content), stale.
 */
function scheduled(faults) {
  const used = faults.map(() => 0);
  const fits = (fault, index, touch, when) =>
    (fault.when ?? 'before') === when &&
    used[index] < (fault.times ?? Number.POSITIVE_INFINITY) &&
    ['nth', 'nthOfKind', 'nthChange', 'kind', 'call'].every(
      (key) => fault[key] === undefined || fault[key] === touch[key],
    ) &&
    (fault.path === undefined || (touch.path ?? '').includes(fault.path)) &&
    (fault.command === undefined || (touch.argv ?? []).join(' ').includes(fault.command));
  const pick = (touch, when) => {
    const index = faults.findIndex((fault, at) => fits(fault, at, touch, when));
    if (index < 0) return undefined;
    used[index] += 1;
    return actionOf(faults[index], touch);
  };
  return { before: (touch) => pick(touch, 'before'), after: (touch) => pick(touch, 'after') };
}

function actionOf({ error, kill, half, truncate, text, stale }, touch) {
  const action = { error, kill, half };
  if (truncate !== undefined) action.content = (content) => content.subarray(0, truncate);
  if (text !== undefined) action.content = () => Buffer.from(text);
  if (stale) action.content = (content) => lastRead.get(touch.path) ?? content;
  return action;
}

// A touch --------------------------------------------------------------------------------------

function begin(kind, call, path, argv) {
  counts[kind] += 1;
  return {
    nth: counts.read + counts.write + counts.command,
    nthOfKind: counts[kind],
    nthChange: counts.write + counts.command,
    ...{ kind, call, ...(argv === undefined ? { path } : { argv }) },
  };
}

function note(touch, when, action) {
  const fault = action && Object.keys(action).filter((key) => action[key] !== undefined);
  if (logFd < 0 || (touch.kind === 'read' && !plan.reads && !fault?.length)) return;
  if (when === 'after' && !fault?.length) return;
  const { error, kill } = action ?? {};
  const line = { ...touch, ...(fault?.length && { when, fault, error, kill }) };
  real.writeSync(logFd, `${JSON.stringify(line)}\n`);
}

function asked(when, touch) {
  const action = hook[when]?.(touch);
  note(touch, when, action);
  return action;
}

function failure(code, syscall, path) {
  const number = os.constants.errno[code] ?? 5;
  const [, words = 'unknown'] = util.getSystemErrorMap().get(-number) ?? [];
  const place = path === undefined ? '' : ` '${path}'`;
  const error = new Error(`${code}: ${words}, ${syscall}${place}`);
  return Object.assign(error, { errno: -number, code, syscall, ...(path && { path }) });
}

/** An end by SIGKILL comes with the return from the system call at the latest. */
function endBy(signal) {
  process.kill(process.pid, signal);
}

function beforeOf(touch) {
  const action = asked('before', touch) ?? {};
  if (action.half) return action;
  if (action.kill) endBy(action.kill);
  if (action.error) throw failure(action.error, syscallOf(touch.call), touch.path);
  return action;
}

function afterOf(touch) {
  const action = asked('after', touch);
  if (action?.kill) endBy(action.kill);
  if (action?.error) throw failure(action.error, syscallOf(touch.call), touch.path);
}

/** What half a write comes to once the half is written; undefined: it is told as it is. */
function afterHalf(action, touch) {
  if (action.kill) endBy(action.kill);
  if (action.error) throw failure(action.error, syscallOf(touch.call), touch.path);
}

const SYSCALLS = { readFile: 'open', writeFile: 'open', appendFile: 'open', readdir: 'scandir' };
const bare = (call) => call.replace(/^.*\./, '').replace(/Sync$/, '');
const syscallOf = (call) => SYSCALLS[bare(call)] ?? bare(call);

// Which touches there are ----------------------------------------------------------------------

const READS = ['access', 'exists', 'lstat', 'stat', 'readFile', 'readdir', 'readlink', 'realpath'];
const WRITES = ['writeFile', 'appendFile', 'mkdir', 'mkdtemp', 'rename', 'rm', 'rmdir', 'unlink']
  .concat(['symlink', 'link', 'chmod', 'chown', 'lchown', 'utimes', 'lutimes', 'truncate'])
  .concat(['copyFile', 'cp']);
const FD_READS = ['read', 'readv', 'fstat'];
const FD_WRITES = ['write', 'writev', 'ftruncate', 'fsync', 'fdatasync', 'fchmod', 'fchown'].concat(
  ['futimes'],
);

/** `symlink(target, path)`: the target is mere text. Of two paths the one that comes to be counts. */
const PLACE = { symlink: 1, link: 1, rename: 1, copyFile: 1, cp: 1 };

function pathOf(name, args) {
  const given = args[PLACE[name] ?? 0];
  if (typeof given === 'number') return opened.get(given)?.path;
  const text = given instanceof URL ? given.pathname : Buffer.isBuffer(given) ? `${given}` : given;
  if (typeof text !== 'string') return undefined;
  const path = resolve(text);
  return path.startsWith(`${root}/`) ? path : undefined;
}

function changes(flags) {
  if (typeof flags === 'number') {
    const { O_WRONLY, O_RDWR, O_CREAT, O_TRUNC } = fs.constants;
    return (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) !== 0;
  }
  return flags !== undefined && flags !== null && flags !== 'r' && flags !== 'rs';
}

const kindOf = (name, args) => {
  if (name === 'open') return changes(args[1]) ? 'write' : 'read';
  return READS.includes(name) || FD_READS.includes(name) ? 'read' : 'write';
};

// Content that is made over, and halves --------------------------------------------------------

function madeOver(touch, action, result, encoding) {
  const bytes = Buffer.isBuffer(result) ? result : Buffer.from(result, encoding);
  const content = action.content ? Buffer.from(action.content(bytes)) : bytes;
  lastRead.set(touch.path, Buffer.from(bytes));
  if (!action.content) return result;
  return encoding ? content.toString(encoding) : content;
}

const encodingOf = (options) => (typeof options === 'string' ? options : options?.encoding);

function halfOf(data, encoding) {
  const bytes = typeof data === 'string' ? Buffer.from(data, encoding) : Buffer.from(data);
  return bytes.subarray(0, bytes.length >> 1);
}

/** The arguments of a call that writes, so that it writes half; undefined: it cannot be halved. */
function halved(name, args) {
  if (name === 'writeFile' || name === 'appendFile') {
    const [place, data, options, ...rest] = args;
    return [place, halfOf(data, encodingOf(options)), options, ...rest];
  }
  if (name !== 'write') return undefined;
  const [fd, data, ...rest] = args;
  const callback = typeof rest.at(-1) === 'function' ? [rest.pop()] : [];
  if (typeof data === 'string') {
    const half = halfOf(data, rest[1]);
    return [fd, half, 0, half.length, rest[0] ?? null, ...callback];
  }
  const { offset = 0, length, position } = typeof rest[0] === 'object' ? (rest[0] ?? {}) : {};
  const from = typeof rest[0] === 'number' ? rest[0] : offset;
  const count = rest[1] ?? length ?? data.byteLength - from;
  return [fd, data, from, count >> 1, rest[2] ?? position ?? null, ...callback];
}

/** The whole of an open file as it is now. */
function wholeOf(fd) {
  const parts = [];
  for (let at = 0; ; at += parts.at(-1).length) {
    const part = Buffer.alloc(65_536);
    const length = real.readSync(fd, part, 0, part.length, at);
    if (length === 0) return Buffer.concat(parts);
    parts.push(part.subarray(0, length));
  }
}

function readArguments([fd, buffer, ...rest]) {
  const options = typeof rest[0] === 'object' && rest[0] !== null ? rest[0] : undefined;
  const offset = options?.offset ?? (typeof rest[0] === 'number' ? rest[0] : 0);
  const length = options?.length ?? rest[1] ?? buffer.byteLength - offset;
  const position = options ? options.position : rest[2];
  return { fd, buffer, offset, length, position: typeof position === 'number' ? position : -1 };
}

/** A read that goes on where another one stopped belongs to that one. */
function isContinued(entry, { position }) {
  return position > 0 || (position < 0 && entry.cursor > 0);
}

function serve(entry, { buffer, offset, length, position }) {
  const at = position >= 0 ? position : entry.cursor;
  const part = entry.content.subarray(at, at + length);
  part.copy(Buffer.from(buffer.buffer, buffer.byteOffset, buffer.byteLength), offset);
  if (position < 0) entry.cursor += part.length;
  return part.length;
}

function readSync(...args) {
  const entry = inside ? undefined : opened.get(args[0]);
  if (entry === undefined) return real.readSync(...args);
  const wanted = readArguments(args);
  if (isContinued(entry, wanted)) {
    if (entry.content !== undefined) return serve(entry, wanted);
    return advanced(entry, wanted, real.readSync(...args));
  }
  entry.content = undefined;
  const touch = begin('read', 'readSync', entry.path);
  const action = beforeOf(touch);
  let count;
  if (action.content) {
    const whole = wholeOf(args[0]);
    entry.content = Buffer.from(action.content(whole));
    lastRead.set(entry.path, whole);
    count = serve(entry, wanted);
  } else {
    count = advanced(entry, wanted, real.readSync(...args));
    keepForLater(entry.path, wanted, count);
  }
  afterOf(touch);
  return count;
}

function advanced(entry, { position }, count) {
  if (position < 0) entry.cursor += count;
  return count;
}

const KEPT_BYTES = 16_384;

function keepForLater(path, { buffer, offset, length }, count) {
  if (count === length || count > KEPT_BYTES) return;
  lastRead.set(path, Buffer.from(buffer.subarray(offset, offset + count)));
}

// Around the functions -------------------------------------------------------------------------

function quietly(work) {
  const before = inside;
  inside = true;
  try {
    return work();
  } finally {
    inside = before;
  }
}

function opens(name, path, result) {
  if (name === 'open') opened.set(result, { path, cursor: 0, content: undefined });
}

function finished(name, touch, action, args, result) {
  opens(name, touch.path, result);
  if (name === 'readFile') return madeOver(touch, action, result, encodingOf(args[1]));
  if (name === 'readdir' && action.names) return action.names(result);
  return result;
}

function wrapSync(name) {
  const call = `${name}Sync`;
  const original = real[call];
  if (original === undefined) return;
  const outside = function outside(...args) {
    const path = inside ? undefined : pathOf(name, args);
    if (path === undefined) return quietly(() => original.apply(this, args));
    const touch = begin(kindOf(name, args), call, path);
    if (name === 'exists') return existsAs(touch, original, args);
    const action = beforeOf(touch);
    const half = action.half ? halved(name, args) : undefined;
    const result = quietly(() => original.apply(this, half ?? args));
    if (action.half) afterHalf(action, touch);
    afterOf(touch);
    return finished(name, touch, action, args, result);
  };
  fs[call] = Object.assign(outside, original);
}

/** What goes wrong is told as `false`. */
function existsAs(touch, original, args) {
  try {
    beforeOf(touch);
    return quietly(() => original(...args));
  } catch {
    return false;
  }
}

function wrapCallback(name) {
  const original = real[name];
  if (original === undefined || name === 'exists') return;
  const outside = function outside(...args) {
    const callback = args.at(-1);
    const path = inside ? undefined : pathOf(name, args);
    if (path === undefined || typeof callback !== 'function') return original.apply(this, args);
    const touch = begin(kindOf(name, args), name, path);
    let action;
    try {
      action = beforeOf(touch);
    } catch (error) {
      process.nextTick(callback, error);
      return undefined;
    }
    const half = action.half ? halved(name, args) : undefined;
    const given = (half ?? args).slice(0, -1);
    const done = (error, result, ...more) => {
      if (error) return callback(error);
      let value;
      try {
        if (action.half) afterHalf(action, touch);
        afterOf(touch);
        value = finished(name, touch, action, args, result);
      } catch (broken) {
        return callback(broken);
      }
      return callback(null, value, ...more);
    };
    return quietly(() => original.apply(this, [...given, done]));
  };
  fs[name] = Object.assign(outside, original);
}

function wrapPromise(name) {
  const original = real.promises[name];
  if (original === undefined) return;
  fs.promises[name] = async function outside(...args) {
    const path = pathOf(name, args);
    if (path === undefined) return original.apply(this, args);
    const touch = begin(kindOf(name, args), `promises.${name}`, path);
    const action = beforeOf(touch);
    const half = action.half ? halved(name, args) : undefined;
    const result = await original.apply(this, half ?? args);
    if (action.half) afterHalf(action, touch);
    afterOf(touch);
    if (name === 'open') return withHandle(result, path);
    return finished(name, touch, action, args, result);
  };
}

const HANDLE_READS = ['read', 'readFile', 'stat'];
const HANDLE_WRITES = ['write', 'writeFile', 'appendFile', 'truncate', 'sync', 'datasync', 'chmod'];

function withHandle(handle, path) {
  for (const name of [...HANDLE_READS, ...HANDLE_WRITES]) {
    const original = handle[name];
    handle[name] = async (...args) => {
      const kind = HANDLE_READS.includes(name) ? 'read' : 'write';
      const touch = begin(kind, `handle.${name}`, path);
      const action = beforeOf(touch);
      const half = action.half ? halved(name, [undefined, ...args])?.slice(1) : undefined;
      const result = await original.apply(handle, half ?? args);
      if (action.half) afterHalf(action, touch);
      afterOf(touch);
      if (name === 'readFile') return madeOver(touch, action, result, encodingOf(args[0]));
      return result;
    };
  }
  return handle;
}

/** What the system cannot start: a program that is not there, or one that may not be run. */
const INSTEAD = { ENOENT: '/nonexistent/program', EACCES: '/' };

childProcess.spawn = function spawn(file, ...rest) {
  const given = Array.isArray(rest[0]) ? rest[0] : [];
  const touch = begin('command', 'spawn', undefined, [file, ...given]);
  const action = asked('before', touch) ?? {};
  if (action.kill) endBy(action.kill);
  const instead = INSTEAD[action.error];
  if (action.error && instead === undefined) throw failure(action.error, 'spawn', undefined);
  const child = quietly(() => realSpawn.call(this, instead ?? file, ...rest));
  afterOf(touch);
  return child;
};

for (const name of [...READS, ...WRITES, ...FD_WRITES, 'open', 'fstat', 'readv']) wrapSync(name);
for (const name of [...READS, ...WRITES, ...FD_WRITES, ...FD_READS, 'open']) wrapCallback(name);
for (const name of [...READS, ...WRITES, 'open']) wrapPromise(name);
fs.readSync = readSync;
fs.closeSync = (fd) => {
  opened.delete(fd);
  return real.closeSync(fd);
};
fs.close = (fd, ...rest) => {
  opened.delete(fd);
  return real.close(fd, ...rest);
};
