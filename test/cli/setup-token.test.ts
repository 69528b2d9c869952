import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { setupToken } from '../../src/cli/setup-token.ts';
import { parseConfig } from '../../src/config/load.ts';
import { LEAST_PRIVILEGES } from '../../src/node/api/privileges.ts';

it('prints the commands, and a configuration that is one once the blanks are filled', () => {
  const stdout = new PassThrough();
  expect(setupToken({ stdout })).toBe(0);
  const text = `${stdout.read()}`;
  expect(text).toContain(
    `pveum role add LxcAutoscale --privs '${LEAST_PRIVILEGES.join(' ')}'\n` +
      "pveum user add 'lxc-autoscale@pve'\n" +
      "pveum acl modify / --users 'lxc-autoscale@pve' --roles LxcAutoscale\n" +
      "pveum user token add 'lxc-autoscale@pve' scaler --privsep 1\n" +
      "pveum acl modify / --tokens 'lxc-autoscale@pve!scaler' --roles LxcAutoscale\n",
  );
  const filled = text
    .slice(text.indexOf('NODES:'))
    .replace('NAME-OF-THE-NODE', 'lab')
    .replace('ADDRESS', 'lab.example')
    .replace('...', Array.from({ length: 32 }, () => 'AB').join(':'));
  expect(parseConfig(filled, 'f.yaml', { NODE_TOKEN: 'x' })).toMatchObject({
    ok: true,
    config: { nodes: [{ name: 'lab', credentials: { id: 'lxc-autoscale@pve!scaler' } }] },
  });
});
