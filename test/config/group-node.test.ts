import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { onNode } from '../../src/config/on-node.ts';
import { renderProblem } from '../../src/config/problem.ts';

/** Which node a group is on, and who works on it. */

const NODES = `NODES:
  old: {connection: ssh, host: 10.0.0.3, node: pve3}
  lab: {host: lab.example, token_id: a@pve!b, token_secret: "12345678-1234-1234-1234-123456789abc"}
`;
const self = () => ({ name: 'pve1', hosts: new Set<string>(), cluster: [] });
const parse = (keys: string) =>
  parseConfig(`${NODES}HORIZONTAL_SCALING_GROUP_web: {${keys}}\n`, 'f.yaml', {}, self);

function worked(keys: string): readonly string[] {
  const result = parse(keys);
  if (!result.ok) return result.problems.map(renderProblem);
  const on = ['pve1', 'old', 'lab'].filter((name) => onNode(result.config, name).groups.length > 0);
  return [...on, ...result.notes.map(renderProblem).filter((note) => !note.includes('secret'))];
}

describe('a group is worked on', () => {
  it.each([
    ['on the node of the program if it names none', 'source: 110', ['pve1']],
    ['on that of its source', 'source: old/110', ['old']],
    ['by what the cluster calls that', 'source: PVE3/110', ['old']],
    ['on the one that it names', 'source: 110, node: old', ['old']],
    ['on that of all that it lists', 'source: 110, lxc_containers: [old/110, old/111]', ['old']],
    ['on the node of the program by its name', 'source: pve1/110', ['pve1']],
  ])('%s', (_, keys, expected) => {
    expect(worked(keys)).toEqual(expected);
  });

  it.each([
    ['source: old/110, node: pve1', /source: names a container of old, and the group is on pve1/],
    ['source: pve9/110', /source: 'pve9\/110' names a node that is not known; allowed: /],
    ['source: 110, node: odl', /node: 'odl' names a node that is not known.*did you mean old\?/],
    ['source: old/x', /source: 'old\/x' is not a container id; allowed: .*, or node\/id/],
  ])('and %s is refused', (keys, problem) => {
    expect(worked(keys)).toEqual([expect.stringMatching(problem)]);
  });

  it('and by the API alone on none, which is said', () => {
    const said = /is on lab, and groups are not worked on by the API; reach that node by SSH/;
    expect(worked('source: lab/110')).toEqual(['lab', expect.stringMatching(said)]);
  });
});
