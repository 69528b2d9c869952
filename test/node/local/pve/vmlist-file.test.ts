import { describe, expect, it } from 'vitest';
import { parseStartTime, parseVmlist } from '../../../../src/node/local/pve/vmlist-file.ts';
import { fc } from '../../../fast-check.ts';

const entry = (node: string, type: string, version: unknown) => ({ node, type, version });

describe('.vmlist', () => {
  it('tells the guests of the cluster, where each is, and its version', () => {
    const ids = {
      '102': entry('n1', 'lxc', 3),
      '101': entry('n1', 'lxc', 10),
      '103': entry('n2', 'qemu', 4),
    };
    expect([...(parseVmlist(JSON.stringify({ version: 8, ids })) ?? [])]).toStrictEqual([
      [101, { vmid: 101, ...entry('n1', 'lxc', 10) }],
      [102, { vmid: 102, ...entry('n1', 'lxc', 3) }],
      [103, { vmid: 103, ...entry('n2', 'qemu', 4) }],
    ]);
  });

  it('may list nobody', () => {
    expect(parseVmlist('{"version":1,"ids":{}}')?.size).toBe(0);
  });

  it.each([
    '',
    '{',
    'null',
    '[]',
    '{"version":1}',
    '{"ids":[]}',
    '{"ids":{"101":null}}',
    '{"ids":{"1e3":{"node":"n1","type":"lxc","version":1}}}',
    '{"ids":{"101":{"type":"lxc","version":1}}}',
    '{"ids":{"101":{"node":"n1","type":"lxc","version":"1"}}}',
    '{"ids":{"101":{"node":"n1","type":"lxc","version":1.5}}}',
    '{"ids":{"101":{"node":"../n1","type":"lxc","version":1}}}',
  ])('%j is malformed as a whole', (text) => {
    expect(parseVmlist(text)).toBeUndefined();
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        parseVmlist(text);
        parseStartTime(text);
      }),
    );
  });
});

describe('.version', () => {
  it.each([
    ['{"starttime": 1795303368, "vmlist": 8}', 1_795_303_368],
    ['{"starttime": "now"}', undefined],
    ['{}', undefined],
    ['', undefined],
  ])('%j was started at %s', (text, expected) => {
    expect(parseStartTime(text)).toBe(expected);
  });
});
