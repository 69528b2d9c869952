import { expect, it } from 'vitest';
import {
  confText,
  decodeText,
  descriptionLines,
  effectiveLimits,
  encodeText,
  parseConf,
} from '../../src/sim/guest-conf.ts';

const FULL = `#Shop front
#owner%3A ops
arch: amd64
cores: 2
hostname: web1
memory: 512
swap: 0
lxc.signal.halt: SIGUSR1
lxc.signal.halt: SIGUSR1

[pve:pending]
tty: 3

[before]
#why
cores: 1
memory: 256
snaptime: 1795304088
`;

it('puts together what it took apart', () => {
  const conf = parseConf(101, FULL);
  expect(conf.warnings).toEqual([]);
  expect(confText(conf)).toBe(FULL);
  expect(conf.snapshots.get('before')?.values.get('memory')).toBe('256');
  expect(conf.pending.values.get('tty')).toBe('3');
});

it('sorts keys, keeps unknown ones, drops what is no line, and says so', () => {
  const conf = parseConf(103, 'swap: 0\nnonsense line\nfoo: bar\nmemory: abc\ncores: 2\n');
  expect(conf.warnings).toEqual([
    'vm 103 - unable to parse config: nonsense line',
    "vm 103 - unable to parse value of 'foo' - unknown setting 'foo'",
    "vm 103 - unable to parse value of 'memory' - type check ('integer') failed - got 'abc'",
  ]);
  expect(confText(conf)).toBe('cores: 2\nfoo: bar\nmemory: abc\nswap: 0\n');
});

it('takes the defaults of Proxmox for what is not there', () => {
  expect(effectiveLimits(parseConf(101, 'arch: amd64\n').main)).toEqual({
    cores: undefined,
    cpuLimit: undefined,
    cpuUnits: 100,
    memoryMib: 512,
    swapMib: 512,
  });
  const set = parseConf(101, 'cpulimit: 0\ncpuunits: 20000\nmemory: 64\nswap: 0\ncores: 3\n');
  expect(effectiveLimits(set.main)).toEqual({
    cores: 3,
    cpuLimit: undefined,
    cpuUnits: 10_000,
    memoryMib: 64,
    swapMib: 0,
  });
});

it('encodes descriptions, and loses what is not ASCII where the locale is not UTF-8', () => {
  expect(descriptionLines('a: 100%\nü\n', true)).toEqual(['a%3A 100%25', '%C3%BC']);
  expect(encodeText('ü', false)).toBe('%EF%BF%BD%EF%BF%BD');
  expect(decodeText('%C3%BC by hand ü %zz')).toBe('ü by hand ü %zz');
});
