'use strict';

/**
 * The hook of test/faults/outside.cjs that ends a process at one point of its work by SIGKILL. Of
 * the plan it takes:
 *   list  a file that each write and command is appended to, one JSON object a line
 *   at    {name, nth, when}: the point; left out: none
 * A point has a name, not a number: what else happens beside it (a lock's renewal) shifts none.
 */

const { appendFileSync, closeSync, openSync } = require('node:fs');

const BACKUP_ID = /\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{8}/;
const STAMP = /\d{8}-\d{6}(?=[-.])/;

/** What is another one in each run is left out. */
function nameOf({ call, path, argv }, root) {
  const verb = call.replace(/^.*\./, '').replace(/Sync$/, '');
  if (argv !== undefined) return `${argv[0].replace(/^.*\//, '')} ${argv.slice(1, 3).join(' ')}`;
  const file = path
    .slice(root.length + 1)
    .replace(BACKUP_ID, 'ID')
    .replace(STAMP, 'STAMP')
    .replace(/\.output-\d+-\d+/, '.output')
    .replace(/\.\d+\.tmp$/, '.PID.tmp')
    .replace(/usage\/(\.?)\d{4}-\d\d-\d\d/, 'usage/$1DAY');
  return `${verb} ${file}`;
}

function endNow() {
  process.kill(process.pid, 'SIGKILL');
}

module.exports = ({ root, list, at }) => {
  const met = new Map();
  /** Others may begin before this one is over. */
  let here;

  return {
    before(touch) {
      if (touch.kind === 'read') return undefined;
      const name = nameOf(touch, root);
      const nth = (met.get(name) ?? 0) + 1;
      met.set(name, nth);
      const { kind, call, path, argv } = touch;
      if (list !== undefined) {
        appendFileSync(list, `${JSON.stringify({ name, nth, kind, call, path, argv })}\n`);
      }
      if (at === undefined || at.name !== name || at.nth !== nth) return undefined;
      here = touch;
      if (at.when === 'half') return { half: true, kill: 'SIGKILL' };
      if (at.when === 'before') endNow();
      // The file is there, and nothing is in it.
      if (at.when === 'empty') {
        closeSync(openSync(path, 'w'));
        endNow();
      }
      return undefined;
    },
    after(touch) {
      if (touch === here && at.when === 'after') endNow();
      return undefined;
    },
  };
};
