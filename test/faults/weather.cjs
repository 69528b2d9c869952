'use strict';

/**
 * The hook of `outside.cjs` for `stepped-time.cjs`: what goes wrong is told to it as time passes.
 * A rule is {id, kind, path, call, left, action}: `path` and `call` are patterns, the path begins
 * below the root; `left` is how often it strikes, null for always. The first that fits strikes.
 * `action` is {error, half, make}; `make` names what becomes of what is read, see `MAKES`.
 */

const NUMBER = /\d+/g;
const remembered = new Map();

const overNumbers = (change) => (content) =>
  Buffer.from(content.toString('latin1').replace(NUMBER, change), 'latin1');

const MAKES = {
  empty: () => Buffer.alloc(0),
  cut: (content) => content.subarray(0, content.length >> 1),
  'last byte off': (content) => content.subarray(0, Math.max(0, content.length - 1)),
  minus: overNumbers((digits) => `-${digits}`),
  'two to the 64th less one': overNumbers(() => '18446744073709551615'),
  max: overNumbers(() => 'max'),
  back: overNumbers((digits) => String(BigInt(digits) / 2n)),
  zero: overNumbers(() => '0'),
  'a hundredfold': overNumbers((digits) => `${digits}00`),
  fractions: overNumbers((digits) => `${digits}.5`),
  garbage: (content) => Buffer.from(content.map((byte, at) => (byte * 7 + at * 31) & 0xff)),
  'lines end in CRLF': (content) => Buffer.from(content.toString().replaceAll('\n', '\r\n')),
  twice: (content) => Buffer.concat([content, content]),
  'null bytes': (content) => Buffer.alloc(content.length),
  'a megabyte more': (content) => Buffer.concat([content, Buffer.alloc(1 << 20, 'x')]),
};

module.exports = ({ root, rules: atStart }) => {
  const port = globalThis[Symbol.for('stepped')];
  let rules = [];
  let struck = [];
  port.onTold = (told) => {
    rules = told.rules.map((rule) => ({
      ...rule,
      pattern: new RegExp(rule.path ?? ''),
      calls: new RegExp(rule.call ?? ''),
    }));
  };
  port.onTold({ rules: atStart });
  port.told = () => {
    const told = struck;
    struck = [];
    return told;
  };

  /** What was read first is told for as long as the rule holds. */
  const outOfDate = (path) => (content) => {
    const before = remembered.get(path) ?? content;
    return before;
  };

  const contentOf = ({ make }, path) => {
    if (make === undefined) return undefined;
    return make === 'out of date' ? outOfDate(path) : MAKES[make];
  };

  return {
    before(touch) {
      const path = (touch.path ?? touch.argv?.join(' ') ?? '').replace(`${root}/`, '');
      const rule = rules.find(
        ({ kind, pattern, calls, left }) =>
          kind === touch.kind && left !== 0 && pattern.test(path) && calls.test(touch.call),
      );
      if (rule === undefined) return remembering(touch, path);
      const { error, half, make } = rule.action;
      // What is made over is content, which is not what a stat or an open gives.
      if (make !== undefined && !/^(readFile|readSync|handle.readFile)/.test(touch.call)) {
        return undefined;
      }
      if (rule.left !== null) rule.left -= 1;
      struck.push({ id: rule.id, path, call: touch.call });
      return { error, half, content: contentOf(rule.action, path) };
    },
  };

  function remembering(touch, path) {
    if (touch.call !== 'readSync' || !/^(sys|proc|etc\/pve)\//.test(path)) return undefined;
    return {
      content: (content) => {
        // Some readings old, so that counters have moved on since.
        const entry = remembered.get(path);
        if (entry === undefined || (entry.readings += 1) > 3) {
          remembered.set(path, Object.assign(Buffer.from(content), { readings: 0 }));
        }
        return content;
      },
    };
  }
};
