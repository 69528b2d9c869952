import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { onNode } from '../../src/config/on-node.ts';
import { renderProblem } from '../../src/config/problem.ts';
import { machineWishes, manage } from '../../src/config/resolve.ts';
import type { Self } from '../../src/config/sections.ts';
import { nodesIn } from '../../src/node/local/pve/corosync-file.ts';
import { vmid } from '../core/builders.ts';

const SELF: Self = { name: 'pve1', hosts: new Set(), cluster: ['pve1', 'pve2'] };

const read = (text: string) => parseConfig(text, 'f.yaml', {}, () => SELF);

const TEXT = `
DEFAULT:
  ignore_lxc: [pve1/103, "PVE2/test-*", "lab/tag:Old"]
TIER_a:
  lxc_containers: ["pve1/101", "pve2/110-119", "pve1/web-*", 150]
  virtual_machines: ["pve2/200"]
TIER_b:
  guests: ["pve2/101", "lab/101", "lab/tag:db"]
HORIZONTAL_SCALING_GROUP_g:
  lxc_containers: [pve1/160, pve2/161]
  source: 170
NODES:
  lab:
    host: lab.example
    token_id: a@pve!b
    token_secret: c
`;

function on(node: string) {
  const result = read(TEXT);
  if (!result.ok) throw new Error(result.problems.map(renderProblem).join('\n'));
  return onNode(result.config, node);
}

function because(node: string, id: number, name = 'x', ...tags: string[]): string {
  const management = manage(on(node), { vmid: vmid(id), name, tags });
  return management.because;
}

describe('what is named for one node', () => {
  it.each([
    ['pve1', 101, 'x', 'TIER_a, by its id'],
    ['PVE1', 101, 'x', 'TIER_a, by its id'],
    ['pve2', 101, 'x', 'TIER_b, by its id'],
    ['lab', 101, 'x', 'TIER_b, by its id'],
    ['pve3', 101, 'x', 'DEFAULT, since it is in no tier'],
    ['pve2', 115, 'x', 'TIER_a, by the ids 110-119'],
    ['pve1', 115, 'x', 'DEFAULT, since it is in no tier'],
    ['pve1', 120, 'web-1', 'TIER_a, by the name web-*'],
    ['pve2', 120, 'web-1', 'DEFAULT, since it is in no tier'],
    ['lab', 150, 'x', 'TIER_a, by its id'],
    ['pve1', 103, 'x', 'listed in ignore_lxc'],
    ['pve2', 103, 'x', 'DEFAULT, since it is in no tier'],
    ['pve2', 104, 'test-1', 'listed in ignore_lxc, by the name test-*'],
    ['pve1', 104, 'test-1', 'DEFAULT, since it is in no tier'],
  ])('on %s guest %i called %s: %s', (node, id, name, why) => {
    expect(because(node, id, name)).toBe(why);
  });

  it('counts for tags, machines and groups too', () => {
    expect(because('lab', 130, 'x', 'OLD')).toBe('listed in ignore_lxc, by tag:old');
    expect(because('pve1', 130, 'x', 'old')).toBe('DEFAULT, since it is in no tier');
    expect(because('lab', 130, 'x', 'db')).toBe('TIER_b, by tag:db');
    const machine = { vmid: vmid(200), name: 'x', tags: [], kind: 'qemu' } as const;
    const wanted = ['pve1', 'pve2'].map((node) => machineWishes(on(node)).isWanted(machine));
    expect(wanted).toEqual([false, true]);
    expect(on('pve2').groups[0]?.members).toEqual([{ from: vmid(161), to: vmid(161) }]);
  });
});

describe('a node that is called otherwise here than in its cluster', () => {
  const on = (...lists: readonly string[]) => {
    const result = read(`
DEFAULT:
  manage: ${lists[0]}
  ignore_lxc: [pve2/105, backup/106, far7/107]
TIER_a:
  guests: [pve2/110, backup/111]
NODES:
  backup: { node: PVE2, host: b.example, token_id: a@pve!b, token_secret: c }
  other: { connection: ssh, node: far7, host: o.example }
`);
    if (!result.ok) throw new Error(result.problems.map(renderProblem).join('\n'));
    return (node: string, id: number): string =>
      manage(onNode(result.config, node), { vmid: vmid(id), name: 'x', tags: [] }).because;
  };

  it('is meant by both names', () => {
    const because = on('all');
    expect(because('backup', 105)).toBe('listed in ignore_lxc');
    expect(because('backup', 106)).toBe('listed in ignore_lxc');
    expect(because('other', 107)).toBe('listed in ignore_lxc');
    expect(because('backup', 110)).toBe('TIER_a, by its id');
    expect(because('backup', 111)).toBe('TIER_a, by its id');
    for (const id of [105, 106, 107, 110]) {
      expect(because('pve1', id)).toBe('DEFAULT, since it is in no tier');
    }
  });

  it('is meant by both where only who is listed is managed', () => {
    const because = on('listed');
    expect(because('backup', 110)).toBe('TIER_a, by its id');
    expect(because('other', 110)).toContain('no tier and no group lists it');
  });
});

describe('a name that its cluster has in common', () => {
  const text = (node: string, list: string) => `
DEFAULT:
  manage: listed
TIER_a:
  lxc_containers: [${list}]
NODES:
  attic: { node: ${node}, host: a.example, token_id: a@pve!b, token_secret: c }
  barn: { node: far, host: b.example, token_id: a@pve!b, token_secret: c }
`;

  it('with this node means this node only', () => {
    const result = parseConfig(text('PVE1', 'pve1/101'), 'f.yaml', {}, () => SELF);
    if (!result.ok) throw new Error(result.problems.map(renderProblem).join('\n'));
    const kind = (node: string) =>
      manage(onNode(result.config, node), { vmid: vmid(101), name: 'x', tags: [] }).kind;
    expect([kind('pve1'), kind('attic')]).toEqual(['managed', 'ignored']);
  });

  it('with this node leaves the virtual machines of this node scaled', () => {
    const machines = text('PVE1', '101').replace(
      'TIER_a:',
      'TIER_a:\n  virtual_machines: [pve1/201]',
    );
    const result = parseConfig(machines, 'f.yaml', {}, () => SELF);
    expect(result.ok && result.notes.map(renderProblem).join()).not.toContain('never shrinks');
    const others = machines.replace('pve1/201', 'attic/201');
    const noted = parseConfig(others, 'f.yaml', {}, () => SELF);
    expect(noted.ok && noted.notes.map(renderProblem).join()).toContain(
      'memory of those of attic hardly grows',
    );
  });

  it.each(['far', 'FAR'])('with another entry means neither, and is refused: %s', (node) => {
    const result = parseConfig(text(node, 'far/101'), 'f.yaml', {}, () => SELF);
    expect(result.ok ? [] : result.problems.map(renderProblem)[0]).toContain(
      "'far/101' names a node that is not known",
    );
  });
});

describe('the name of a node', () => {
  const problems = (text: string, self?: () => Self) => {
    const result = parseConfig(text, 'f.yaml', {}, self);
    return result.ok ? [] : result.problems.map(renderProblem);
  };

  it('must be known, if it is known where the file is used', () => {
    const text = 'TIER_a:\n  guests:\n    - 101\n    - pve3/100\n    - pve3/web\n    - "old/*"\n';
    const allowed = 'allowed: this node, those of its cluster and of NODES (pve1, pve2)';
    expect(problems(text, () => SELF)).toEqual([
      `f.yaml:4: guests: 'pve3/100' names a node that is not known; ${allowed}; did you mean pve1?`,
      `f.yaml:6: guests: 'old/*' names a node that is not known; ${allowed}`,
    ]);
    expect(problems(text)).toEqual([]);
  });

  it('stands before an id, a range, a name or a tag', () => {
    const why = (part: string) => problems(`DEFAULT:\n  ignore_lxc: ["${part}"]\n`)[0] ?? '';
    expect(why('_x/101')).toContain("'_x/101' does not begin with the name of a node");
    expect(why('/101')).toContain("'/101' does not begin with the name of a node");
    expect(why('pve1/')).toContain("'pve1/' is neither an id nor a name");
    expect(why('pve1/99')).toContain("'pve1/99' is no id of a guest");
    expect(why('pve1/pve2/101')).toContain('is neither an id nor a name');
  });

  it('keeps two tiers apart that name the same id', () => {
    const both = (a: string, b: string) =>
      problems(`TIER_a:\n  lxc_containers: [${a}]\nTIER_b:\n  lxc_containers: [${b}]\n`);
    expect(both('pve1/101', 'pve2/101')).toEqual([]);
    expect(both('pve1/101', '101')).toHaveLength(1);
    expect(both('pve1/100-109', 'PVE1/105')).toHaveLength(1);
  });

  it('is read of the cluster where it lies on the disk', () => {
    const text = `totem {\n  cluster_name: home\n}\nnodelist {\n  node {\n    name: pve1
    nodeid: 1\n    ring0_addr: 10.0.0.1\n  }\n  node {\n    nodeid: 2\n    name: pve2\n  }\n}\n`;
    expect(nodesIn(text)).toEqual(['pve1', 'pve2']);
    expect(nodesIn('')).toEqual([]);
  });
});
