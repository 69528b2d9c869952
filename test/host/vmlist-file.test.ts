import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseStartTime, parseVmlist } from '../../src/host/vmlist-file.ts';

const entry = (node: string, type: string, version: unknown) => ({ node, type, version });

describe('.vmlist', () => {
  it('tells the containers of one node and their versions', () => {
    const ids = {
      '102': entry('n1', 'lxc', 3),
      '101': entry('n1', 'lxc', 10),
      '103': entry('n2', 'lxc', 4),
      '104': entry('n1', 'qemu', 5),
    };
    const versions = parseVmlist(JSON.stringify({ version: 8, ids }), 'n1');
    expect([...(versions ?? [])]).toStrictEqual([
      [101, 10],
      [102, 3],
    ]);
  });

  it('tells the virtual machines of one node where they are asked for', () => {
    const ids = {
      '102': entry('n1', 'lxc', 3),
      '103': entry('n2', 'qemu', 4),
      '104': entry('n1', 'qemu', 5),
    };
    const versions = parseVmlist(JSON.stringify({ ids }), 'n1', 'qemu');
    expect([...(versions ?? [])]).toStrictEqual([[104, 5]]);
  });

  it('may list nobody', () => {
    expect(parseVmlist('{"version":1,"ids":{}}', 'n1')?.size).toBe(0);
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
  ])('%j is malformed as a whole', (text) => {
    expect(parseVmlist(text, 'n1')).toBeUndefined();
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        parseVmlist(text, 'n1');
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
