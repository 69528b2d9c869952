import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ProcessContext } from '../../src/app/context.ts';
import { EXIT } from '../../src/app/exit-codes.ts';
import { parseArguments } from '../../src/cli/command-line.ts';
import { activate } from '../../src/cli/switch-mode.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { temporaryDirectory } from '../node/local/world.ts';
import { collecting } from './collecting.ts';

/** What `activate` says, on the files of a node where no daemon runs. */

const FILE = 'etc/lxc_autoscale/lxc_autoscale.yaml';
const SECRET = 'hush-hush-hush';

let root: string;

beforeEach(() => {
  root = temporaryDirectory();
  const of = { lxc: [101, 102], 'qemu-server': [200] };
  for (const [kind, vmids] of Object.entries(of)) {
    const directory = join(root, 'etc/pve/nodes/pve1', kind);
    mkdirSync(directory, { recursive: true });
    for (const vmid of vmids) {
      const tags = vmid === 102 ? 'tags: autoscale-observe\n' : '';
      const text = `arch: amd64\ncores: 1\nhostname: ct${vmid}\nmemory: 512\n${tags}`;
      writeFileSync(join(directory, `${vmid}.conf`), text);
    }
  }
  writeFileSync(join(root, 'etc/pve/.version'), '{}');
  const types = { 101: 'lxc', 102: 'lxc', 200: 'qemu' };
  const ids = Object.entries(types).map(([id, type]) => [id, { node: 'pve1', type, version: 1 }]);
  const list = { version: 1, ids: Object.fromEntries(ids) };
  writeFileSync(join(root, 'etc/pve/.vmlist'), JSON.stringify(list));
  writeFileSync(join(root, 'etc/hostname'), 'pve1\n');
  mkdirSync(join(root, 'etc/lxc_autoscale'));
  const login = `  gotify_url: http://10.0.0.1\n  gotify_token: ${SECRET}\n`;
  const text = `DEFAULT:\n${login}  scaling_mode: observe\nTIER_own:\n  lxc_containers: [102]\n`;
  writeFileSync(join(root, FILE), text, { mode: 0o600 });
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

async function activated(...words: readonly string[]) {
  const parsed = parseArguments(['activate', ...words, '--sysroot', root]);
  if (parsed.kind !== 'run') throw new Error(parsed.kind);
  const [out, err] = [collecting(), collecting()];
  const now = () => Date.now();
  const context = {
    paths: createPaths(root),
    env: {},
    clock: { wallMs: now, monotonicMs: now },
    stdout: out.stream,
    stderr: err.stream,
  } as unknown as ProcessContext;
  const { guestName: tier } = parsed.arguments;
  const code = await activate({ ...parsed.arguments, tier }, context);
  return { code, out: out.text(), err: err.text() };
}

it('shows no secret that stands beside the line', async () => {
  const { code, out } = await activated('--dry-run');
  expect(code).toBe(EXIT.fine);
  expect(out).toMatch(/^- {3}scaling_mode: observe\n/);
  expect(out).not.toContain('gotify_token');
  expect(out).not.toContain(SECRET);
});

it('says who stays observed or left alone all the same, and what to do', async () => {
  const text = readFileSync(join(root, FILE), 'utf8');
  writeFileSync(
    join(root, FILE),
    `${text}TIER_slow:\n  lxc_containers: [900]\n  scaling_mode: observe\n`,
  );
  const words =
    'Observed all the same, by the tag autoscale-observe: 102. ' +
    'To have one changed, remove the tag in Proxmox VE.\n' +
    'Observed all the same, by a line of their own: TIER_slow. ' +
    'To have one changed, activate TIER_slow.\n' +
    'Virtual machines are skipped: manage_vms is not set and no tier lists them: 200.\n';
  const first = await activated();
  expect(first.out).toContain(`Everything is active when the daemon starts.\n${words}`);
  expect((await activated()).out).toBe(`Everything is already active.\n${words}`);
  const tier = await activated('TIER_own');
  expect(tier.out).toBe(`TIER_own is already active.\n${words.split('\n')[0]}\n`);
});

it.each([
  ['102', 'container 102 is observed by its tag autoscale-observe; remove the tag in Proxmox VE'],
  [
    '200',
    '200 is a virtual machine, and this command knows containers only; name it below `guests`',
  ],
])('does nothing for %s, and says why', async (vmid, why) => {
  const before = readFileSync(join(root, FILE), 'utf8');
  const { code, err } = await activated(vmid);
  expect({ code, err }).toEqual({
    code: EXIT.failure,
    err: expect.stringContaining(`Nothing was changed: ${why}`),
  });
  expect(readFileSync(join(root, FILE), 'utf8')).toBe(before);
});

it('edits the file that the cluster shares if that counts', async () => {
  const shared = join(root, 'etc/pve/lxc_autoscale.yaml');
  rmSync(join(root, FILE));
  writeFileSync(shared, 'DEFAULT:\n  scaling_mode: observe\n', { mode: 0o640 });
  const { code, out } = await activated();
  expect(code).toBe(EXIT.fine);
  expect(out).toContain(`Written: ${shared}\n`);
  expect(out).toContain('the others follow at their next look');
  expect(readFileSync(shared, 'utf8')).not.toContain('observe');
});
