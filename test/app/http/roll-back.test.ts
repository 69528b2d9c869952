import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mib } from '../../../src/core/units.ts';
import { vmid } from '../../core/builders.ts';
import { type Served, serve } from './served.ts';

/** A rollback that is asked for keeps to the policy of its guest, as every other change does. */

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-roll-back-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

interface Then {
  readonly cores: number;
  readonly memory: number;
}

/** 101 has 4 cores and 1024 MB; it had other values then. */
async function ready(more: string, { cores, memory }: Then): Promise<Served> {
  const backups = mkdtempSync(join(directory, 'backups-'));
  const served = await serve(`  backup_dir: ${backups}\n${more}`);
  served.node.add(101, { cores: 4, memoryMib: mib(1024) });
  await served.cycle();
  mkdirSync(join(backups, '101'));
  const [addresses = '', volume] = `${served.node.get(101).config.identity}`.split(' ');
  const net = `net0: name=eth0,bridge=vmbr0,hwaddr=${addresses.toUpperCase()}`;
  const conf = `cores: ${cores}\nmemory: ${memory}\nrootfs: ${volume}\n${net}\n`;
  const digest = createHash('sha1').update(conf).digest('hex').slice(0, 8);
  writeFileSync(join(backups, '101', `20261121T220445.007Z-${digest}.conf`), conf);
  return served;
}

const rollBack = (served: Served, role: 'scale' | 'admin', to?: string) =>
  served.as(role, 'POST', '/api/v1/guests/101/rollback', to === undefined ? {} : { to });

describe('a rollback that is asked for', () => {
  it('is made within the policy', async () => {
    const served = await ready('', { cores: 3, memory: 1024 });
    const { status, json } = await rollBack(served, 'scale');
    expect({ status, json }).toMatchObject({
      status: 200,
      json: { changes: [{ resource: 'cores', before: 4, after: 3 }] },
    });
    expect(served.node.get(101).config.cores).toBe(3);
  });

  it.each(['scale', 'admin'] as const)('is not for an ignored guest (%s)', async (role) => {
    const served = await ready('  ignore_lxc: [101]\n', { cores: 3, memory: 1024 });
    const { status, json } = await rollBack(served, role);
    expect({ status, json }).toMatchObject({
      status: 409,
      json: { code: 'refused', detail: expect.stringContaining('ignore_lxc') },
    });
    expect(served.node.done).toEqual([]);
  });

  it.each<[string, string, Then, string]>([
    ['more cores', '  max_cores: 4\n', { cores: 6, memory: 1024 }, 'at most 4 cores'],
    ['fewer cores', '  min_cores: 2\n', { cores: 1, memory: 1024 }, 'no less than 2 cores'],
    ['more memory', '  max_memory: 2048\n', { cores: 4, memory: 4096 }, 'at most 2048 MB'],
    ['less memory', '  min_memory: 1000\n', { cores: 4, memory: 900 }, 'no less than 1000 MB'],
  ])('to %s than the policy allows is for an admin', async (_what, more, then, why) => {
    const served = await ready(more, then);
    const { status, json } = await rollBack(served, 'scale');
    expect({ status, json }).toMatchObject({
      status: 409,
      json: { code: 'refused', detail: expect.stringContaining(why) },
    });
    expect(served.node.done).toEqual([]);
    expect((await rollBack(served, 'admin')).status).toBe(200);
    const { cores, memoryMib } = served.node.get(101).config;
    expect({ cores, memory: memoryMib }).toEqual(then);
  });

  it.each([
    ['scale', 4],
    ['admin', 6],
  ] as const)('moves what was given only for an admin (%s)', async (role, given) => {
    const served = await ready('  max_cores: 150 %\n', { cores: 6, memory: 1024 });
    expect((await rollBack(served, role)).status).toBe(200);
    served.node.rebalance();
    served.pass(300_000);
    await served.cycle();
    const record = served.loop.state.guests.get(vmid(101));
    expect([record?.given?.cores, record?.known?.cores]).toEqual([given, 6]);
    expect(record?.cores.handHoldMs).toBeDefined();
    expect(served.node.lines.join('\n')).not.toContain('not by this program');
  });
});
