import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Asked } from '../../../src/app/http/route.ts';
import { encodeUsage } from '../../../src/core/usage-history.ts';
import { createPaths } from '../../../src/node/local/paths.ts';
import { USAGE_DIRECTORY } from '../../../src/store/usage-files.ts';
import { everyRoute } from '../../../tools/docs/routes.ts';
import { temporaryDirectory, vmid } from '../../node/local/world.ts';
import { type Served, serve } from './served.ts';

/** What the record of the guests advises, for whoever asks. */

const STEP_S = 300;
const STEPS = 288;

/** A day of 101 and 102, of 4 cores and 4096 MB each: they use 0.3 cores and 600 MB. */
function record(root: string, wallMs: number, ids = [101, 102], steps = STEPS): void {
  const directory = createPaths(root).at(USAGE_DIRECTORY);
  mkdirSync(directory, { recursive: true });
  const endS = Math.floor(wallMs / 1000) - 60;
  const lines = Array.from({ length: steps }, (_, step) =>
    ids.map((id) =>
      encodeUsage({
        timeS: endS - (steps - step) * STEP_S,
        vmid: vmid(id),
        cpuCores: 0.3,
        memoryMib: 600,
        cpuDemand: 0.3,
        cpuPeak: 0.4,
        cpuAllowed: 4,
        memoryPeakMib: 610,
        memoryLimitMib: 4096,
        cpuWaitPercent: 0,
        memoryWaitPercent: 0,
      }),
    ),
  ).flat();
  const day = new Date(wallMs - 86_400_000).toISOString().slice(0, 10);
  writeFileSync(join(directory, `${day}.001.csv`), `${lines.join('\n')}\n`);
}

async function recorded(more = '', ids?: number[], steps?: number): Promise<Served> {
  const root = temporaryDirectory();
  const served = await serve(more, { root });
  served.pass(30 * 86_400_000);
  for (const id of [101, 102]) served.node.add(id, { cores: 4, memoryMib: 4096 as never });
  record(root, served.loop.world.clock.wallMs(), ids, steps);
  await served.cycle();
  return served;
}

const ask = (served: Served) => served.as('read', 'GET', '/api/v1/recommendations');

describe('recommendations', () => {
  it('are those of the command, and a patch that adds the tiers', async () => {
    const { status, json } = await ask(await recorded());
    expect(status).toBe(200);
    expect(json['containers']).toEqual([
      expect.objectContaining({
        container: '101',
        hours: 24,
        cores: expect.objectContaining({ recommended: 1, had: 4, saves: 3 }),
        memory_mb: expect.objectContaining({ had: 4096, peak: 610 }),
      }),
      expect.objectContaining({ container: '102' }),
    ]);
    expect(json['diff']).toBe(
      [
        '--- /etc/lxc.yaml',
        '+++ /etc/lxc.yaml',
        '@@ -1,0 +2,6 @@',
        '+',
        '+TIER_1_cores_2048_mb:',
        '+  guests: [101, 102]',
        '+  scaling_mode: adaptive',
        '+  max_cores: 2',
        '+  max_memory: 4096',
        '',
      ].join('\n'),
    );
  });

  it('leave out whom a tier is about, and what another guest has used', async () => {
    const served = await recorded('TIER_web:\n  lxc_containers: [101]\n', [101, 109]);
    const { json } = await ask(served);
    expect(json).toMatchObject({ diff: null, left: [101, 109] });
  });

  it('are worked out once for all who ask within a while', async () => {
    const served = await recorded();
    const [one, other] = await Promise.all([ask(served), ask(served)]);
    expect(one.text).toBe(other.text);
    record(served.root, served.loop.world.clock.wallMs(), [101]);
    expect((await ask(served)).text).toBe(one.text);
    served.pass(16 * 60_000);
    expect((await ask(served)).json['containers']).toHaveLength(1);
  });

  it('say how many guests they are not about', async () => {
    const ids = Array.from({ length: 1002 }, (_, index) => 1001 + index);
    const { json } = await ask(await recorded('', ids, 2));
    expect(json['containers']).toHaveLength(1000);
    expect(json['note']).toMatch(/ Left out: 2 guests beyond the first 1000\.$/);
  });

  it.each(['recommendations', 'usage', 'guests/{id}/usage'])(
    'and all that reads two weeks may take its time (%s)',
    async (path) => {
      const { loop } = await recorded();
      const found = everyRoute().find((one) => one.path === `/api/v1/${path}`);
      const service = { nodes: () => [loop] } as never;
      const asked = { service, params: { id: '101' }, query: {}, stay: () => false } as never;
      const request = { signal: new AbortController().signal };
      const answer = async () => found?.run({ ...(asked as Asked), request } as Asked);
      await expect(answer()).rejects.toMatchObject({ code: 'busy' });
    },
  );

  it('are none without a record', async () => {
    const served = await serve('', { root: temporaryDirectory() });
    await served.cycle();
    expect((await ask(served)).json).toMatchObject({ containers: [], diff: null });
  });
});
