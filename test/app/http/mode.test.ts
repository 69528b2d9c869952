import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { modeSwitch } from '../../../src/app/mode-switch.ts';
import { createPaths } from '../../../src/node/local/paths.ts';
import { temporaryDirectory } from '../../node/local/world.ts';
import { type Served, serve } from './served.ts';

/** A switch of observe mode over HTTP: who it is about, and what is said if it cannot be. */

const OBSERVING = '  scaling_mode: observe\n';
const TIERS =
  'TIER_slow:\n  lxc_containers: [103]\n  scaling_mode: observe\n' +
  'TIER_own:\n  lxc_containers: [104]\n  scaling_mode: threshold\n';

/** With a file of this text, which cannot be written. */
async function served(text: string): Promise<Served> {
  const root = temporaryDirectory();
  const configFile = join(root, 'my file.yaml');
  writeFileSync(configFile, text, { mode: 0o600 });
  const paths = createPaths(root);
  const given = { configFile, pollIntervalSeconds: undefined, energyMode: false, debug: false };
  const context = { paths, env: {} } as Parameters<typeof modeSwitch>[3];
  const service = {
    modeSwitch: (...[mode, target]: Parameters<typeof modeSwitch>) =>
      modeSwitch(mode, target, given, context),
  };
  const made = await serve(`${OBSERVING}${TIERS}`, { root, service: service as never });
  for (const id of [101, 102, 103, 104]) {
    made.node.add(id, { ...(id === 102 && { tags: ['autoscale-observe'] }) });
  }
  for (let cycle = 0; cycle < 3; cycle += 1) {
    await made.cycle();
    made.pass(10_000);
  }
  return made;
}

const ask = async (one: Served, wish: object, query = '?dry_run=1') => {
  const { status, json } = await one.as('admin', 'POST', `/api/v1/config/mode${query}`, wish);
  return { status, says: json['says'] ?? json['detail'] };
};

const WHOLE = `DEFAULT:\n${OBSERVING}${TIERS}`;
const EXCEPTIONS =
  'Observed all the same, by the tag autoscale-observe: 102. ' +
  'To have one changed, remove the tag in Proxmox VE. ' +
  'Observed all the same, by a line of their own: TIER_slow. ' +
  'To have one changed, activate TIER_slow.';

it('counts only those that are changed then, and names the others', async () => {
  const one = await served(WHOLE);
  expect(await ask(one, { mode: 'active' })).toEqual({
    status: 200,
    says: `Everything -> active. 0 of 1 observed guests would change at once. ${EXCEPTIONS}`,
  });
});

it('names them too if everything is active already', async () => {
  const one = await served(WHOLE.replace(OBSERVING, ''));
  const says = `Everything is active already. ${EXCEPTIONS}`;
  expect(await ask(one, { mode: 'active' })).toEqual({ status: 200, says });
  expect(await ask(one, { mode: 'active', tier: 'TIER_slow' })).toEqual({
    status: 200,
    says: 'TIER_slow -> active. 0 of 1 observed guests would change at once.',
  });
});

it('says by which command a file can be changed that could not be written', async () => {
  const { status, says } = await ask(await served(WHOLE), { mode: 'active' }, '');
  expect(status).toBe(502);
  expect(says).toMatch(
    /^there is no file; run on the node: lxc-autoscale activate --config '.*\/my file.yaml'$/,
  );
});

it('says what is wrong with the configuration first', async () => {
  const one = await served(`${WHOLE}  max_coers: 4\nTIER_x:\n  what: 1\n`);
  const { status, says } = await ask(one, { mode: 'active' });
  expect(status).toBe(409);
  expect(says).toMatch(
    /my file.yaml was not changed: .*my file.yaml:9: max_coers: .* \(and \d more\); run/,
  );
  expect(says).toMatch(/run on the node: lxc-autoscale check-config --config '.*my file.yaml'$/);
});
