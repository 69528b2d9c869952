import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { CommandContext } from '../../src/cli/command.ts';
import { parseArguments } from '../../src/cli/command-line.ts';
import { withGuest } from '../../src/cli/guest-name.ts';
import { createPaths } from '../../src/node/local/paths.ts';

/** Names of guests, resolved on the files of a node. */

const root = mkdtempSync(join(tmpdir(), 'lxc-autoscale-names-'));
const GUESTS = {
  101: 'intranet',
  102: 'Web',
  103: 'db',
  104: 'twin',
  105: 'TWIN',
  106: 'shop',
  107: 'pool',
  108: 'Pool',
};

beforeAll(() => {
  const guests = join(root, 'etc/pve/nodes/pve1/lxc');
  mkdirSync(guests, { recursive: true });
  for (const [vmid, name] of Object.entries(GUESTS)) {
    const text = `arch: amd64\ncores: 1\nhostname: ${name}\nmemory: 512\nrootfs: local:1\n`;
    writeFileSync(join(guests, `${vmid}.conf`), text);
  }
  writeFileSync(join(root, 'etc/pve/.version'), '{}');
  mkdirSync(join(root, 'etc/lxc_autoscale'));
  const groups = Object.entries({ shop: 190, pool: 290 }).map(([name, first]) => {
    const keys = `lxc_containers: ${first}-${first + 9}\n  starting_clone_id: ${first}`;
    return `HORIZONTAL_SCALING_GROUP_${name}:\n  source: 106\n  ${keys}\n`;
  });
  const tiers = ['web', 'Fast'].map((name) => `TIER_${name}:\n  lxc_containers: [tag:${name}]\n`);
  const text = [...groups, ...tiers].join('');
  writeFileSync(join(root, 'etc/lxc_autoscale/lxc_autoscale.yaml'), text);
  writeFileSync(join(root, 'etc/hostname'), 'pve1\n');
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function resolved(...argv: readonly string[]) {
  const parsed = parseArguments([...argv, '--sysroot', root]);
  if (parsed.kind !== 'run') throw new Error(parsed.kind);
  const context = { paths: createPaths(root), env: {} } as unknown as CommandContext;
  const given = await withGuest(parsed.arguments, parsed.command, context);
  return typeof given === 'string' ? given : (given.vmid ?? given.group ?? given.tier);
}

it.each([
  [['status', 'intranet'], 101],
  [['explain', 'INTRANET'], 101],
  [['rollback', 'web'], 102],
  [['history', '103'], 103],
  [['explain', 'pool'], 'pool'],
  [['explain', 'shop'], 'shop'],
  [['activate', 'fast'], 'TIER_Fast'],
  [['observe', 'tier_web'], 'TIER_web'],
  [['activate', 'db'], 103],
])('%j is about %s', async (argv, expected) => {
  expect(await resolved(...argv)).toBe(expected);
});

it.each([
  [['status', 'twin'], "2 guests are called 'twin': 104, 105. Write the id of one"],
  [['explain', 'intranett'], "called 'intranett'. Did you mean 'intranet' (101)?"],
  [['explain', 'pol'], "No guest or group is called 'pol'. Did you mean 'pool'?"],
  [['backups', 'pool'], "2 guests are called 'pool': 107, 108. Write the id of one"],
  [['activate', 'web'], "'web' is guest 102 and a tier. For the guest: lxc-autoscale act"],
  [['activate', 'Fas'], "No guest or tier is called 'Fas'. Did you mean 'Fast'?"],
  [['status', 'inter*'], undefined],
])('%j is answered with %s', async (argv, words) => {
  if (words === undefined) expect(parseArguments(argv)).toMatchObject({ kind: 'wrong' });
  else expect(await resolved(...argv)).toContain(words);
});
