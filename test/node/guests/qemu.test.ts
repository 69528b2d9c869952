import { describe, expect, it } from 'vitest';
import type { Vmid } from '../../../src/core/units.ts';
import { type MachineConfig, parseMachineConfig } from '../../../src/node/guests/qemu.ts';
import { FORMS, form } from './machine-forms.ts';

const VMID = 200 as Vmid;
const DIGEST = 'b521a922f1aed3b40f29e7884ec7d7cd5e91bd01';

function parsed(text: string): MachineConfig {
  const config = parseMachineConfig(VMID, text, DIGEST);
  if (!config.ok) throw new Error(config.detail);
  return config.value;
}

const problemOf = (text: string): string => {
  const config = parseMachineConfig(VMID, text, DIGEST);
  return config.ok ? 'understood' : `${config.why}: ${config.detail}`;
};

/** name, vCPUs, cpulimit, memory of the guest of that assigned, pending keys. */
const SEEN: Readonly<Record<string, readonly unknown[]>> = {
  plain: ['plain', 2, null, 2048, 2048, ''],
  'as recorded, of qm create': ['vm1', 1, null, 256, 256, ''],
  'nothing but a disk': ['VM200', 1, null, 512, 512, ''],
  'EFI and TPM': ['win11', 8, null, 8192, 8192, ''],
  'cloud-init': ['cloud', 2, null, 1024, 1024, ''],
  'a description with a heading in it': ['described', 2, null, 4096, 4096, ''],
  'snapshots with other values': ['snap', 2, null, 2048, 2048, ''],
  'pending values': ['vm1', 1, null, 384, 384, 'affinity cpulimit net0 memory sockets vcpus'],
  'smp of old': ['old', 6, null, 1024, 1024, ''],
  'memory by its long form': ['long', 2, null, 3072, 3072, ''],
  hugepages: ['huge', 4, null, 16384, 16384, ''],
  'numa nodes by hand': ['numa', 4, null, 8192, 8192, ''],
  'hotplug of all': ['hot', 4, null, 2048, 4096, ''],
  'hotplug 1': ['one', 2, null, 2048, 2048, ''],
  'hotplug 0': ['zero', 2, null, 2048, 2048, ''],
  'virtio-fs': ['shared', 2, null, 2048, 2048, ''],
  passthrough: ['gpu', 6, null, 16384, 16384, ''],
  'auto-ballooning': ['auto', 2, null, 8192, 8192, ''],
  'a template': ['golden', 1, null, 1024, 1024, ''],
  'locked by a backup': ['locked', 1, null, 1024, 1024, ''],
  'suspended to disk': ['asleep', 1, null, 1024, 1024, ''],
  'a limit in fractions': ['limited', 4, 2.5, 2048, 2048, ''],
  'more vcpus than there are': ['many', 2, null, 2048, 2048, ''],
  'a description that looks like keys': ['texts', 2, null, 1024, 1024, ''],
  'arguments and a CPU of its own': ['args', 4, null, 4096, 4096, ''],
  'sockets without cores': ['sockets', 3, null, 2048, 2048, ''],
  'no balloon device': ['fixed', 2, null, 4096, 4096, ''],
  'carriage returns, and no newline at the end': ['dos', 2, null, 2048, 2048, ''],
};

/** vcpus, memory: `live MIN..MAX`, `+` if it can be taken back, `^N` if plugged in from N on. */
const REACHED: Readonly<Record<string, readonly [string, string]>> = {
  plain: ['fixed', 'its balloon does not follow a target (shares: 1000)'],
  hugepages: ['fixed', 'it uses huge pages of the host (hugepages: 1024)'],
  'numa nodes by hand': ['live 1..4 +', 'its balloon does not follow a target (shares: 1000)'],
  'hotplug of all': ['live 1..16 +', 'live 16..4178944 + ^4096'],
  'hotplug 0': ['fixed', 'its balloon does not follow a target (shares: 1000)'],
  'virtio-fs': ['live 1..2 +', 'its balloon does not follow a target (shares: 1000)'],
  passthrough: [
    'fixed',
    'a device of the host is passed through (hostpci0), which pins its memory',
  ],
  'auto-ballooning': ['fixed', 'pvestatd balloons it between 1024 and 8192 MB (shares: 2000)'],
};

describe('a configuration of a virtual machine', () => {
  it.each([...FORMS])('%s', (name, text) => {
    const { cores, cpuLimit, memoryMib, assignedMib, pendingKeys, ...rest } = parsed(text);
    const seen = [rest.name, cores, cpuLimit, memoryMib, assignedMib, pendingKeys.join(' ')];
    expect(seen).toEqual(SEEN[name]);
  });

  it.each(Object.entries(REACHED))('%s: what can be moved while it runs', (name, expected) => {
    const { cores, memoryMib, cpuLimit } = parsed(form(name)).reaches;
    const words = (reach: typeof cores): string => {
      if (reach.kind === 'fixed') return reach.why;
      const { min, max, oneWay, pluggedFrom } = reach;
      const from = pluggedFrom === undefined ? '' : ` ^${pluggedFrom}`;
      return `live ${min}..${max}${oneWay === undefined ? ' +' : ''}${from}`;
    };
    const vcpus = cores.kind === 'fixed' ? 'fixed' : words(cores);
    expect([vcpus, words(memoryMib)]).toEqual(expected);
    expect(cpuLimit).toMatchObject({ kind: 'live', min: 0.01 });
  });

  it('says what is left in the hands of an administrator', () => {
    const { reaches } = parsed(form('plain'));
    expect(reaches.cores).toMatchObject({
      remedy: expect.stringContaining('`qm set 200 --hotplug network,disk,usb,cpu`'),
    });
    expect(reaches.memoryMib).toMatchObject({
      remedy: expect.stringContaining('`qm set 200 --shares 0`'),
    });
    const none = parsed('memory: 1024\nballoon: 0\n').reaches.memoryMib;
    expect(none).toMatchObject({ why: 'it has no balloon device (balloon: 0)' });
  });

  it('knows lock, template and tags', () => {
    expect(parsed(form('a template'))).toMatchObject({ template: true, tags: ['prod', 'web'] });
    expect(parsed(form('locked by a backup'))).toMatchObject({ lock: 'backup', template: false });
    expect(parsed(form('suspended to disk')).lock).toBe('suspended');
  });

  it.each([
    ['0-1', { max: 2, capped: { why: 'it may run on 2 CPUs of the host (affinity: 0-1)' } }, 2],
    ['0,0-1,5', { max: 3 }, 2],
    ['0-15', { max: 4, capped: undefined }, 2],
    ['all', { max: 4, capped: undefined }, 2],
    [`${'0,'.repeat(300)}1-2`, { max: 3 }, 2],
    // What it has beyond that is left to it.
    ['3', { max: 2 }, 1],
  ])('gets no CPUs beyond those that it may run on: %s', (affinity, cpus, mostLimit) => {
    const text = `cores: 4\nvcpus: 2\nhotplug: cpu\nmemory: 1024\naffinity: ${affinity}\n`;
    const { cores, cpuLimit } = parsed(text).reaches;
    expect({ capped: undefined, ...cores }).toMatchObject(cpus);
    expect(cpuLimit).toMatchObject({ max: mostLimit });
  });

  it('has a memory that only grows where only modules can be plugged in', () => {
    const text = 'balloon: 0\ncores: 2\nhotplug: memory\nmemory: 2048\nnuma: 1\n';
    const reach = parsed(text).reaches.memoryMib;
    expect(reach).toMatchObject({ kind: 'live', min: 2048, oneWay: {}, pluggedFrom: 2048 });
    // What no modules make up was not the memory of one that was started with hotplug.
    expect(parsed(text.replace('2048', '2000')).reaches.memoryMib.kind).toBe('fixed');
  });
});

describe('the last module', () => {
  const text = 'cores: 2\nhotplug: memory\nmemory: 2560\nnuma: 1\n';
  const left = (own: string): number | undefined => {
    const reach = parsed(text.replace('memory: 2560\n', own)).reaches.memoryMib;
    return reach.kind === 'live' ? reach.unpluggedTo : undefined;
  };

  it.each([
    ['memory: 2560\n', 2048],
    ['memory: 18432\n', 17_408],
    ['memory: 1536\n', 1024],
    ['memory: 1024\n', undefined],
    // A balloon gives its memory back, pvestatd moves it, or `qm` refuses less than its target.
    ['memory: 2560\nshares: 0\n', undefined],
    ['memory: 2560\nballoon: 1024\n', undefined],
    ['memory: 2560\nballoon: 2560\n', undefined],
    ['memory: 2560\nballoon: 0\n', undefined],
  ])('of %j leaves %s', (own, expected) => {
    expect(left(own)).toBe(expected);
  });
});

describe('which machine it is', () => {
  it('is told by its SMBIOS id, which a rollback keeps', () => {
    const { identity } = parsed(form('plain'));
    expect(identity).toBe('bc:24:11:00:00:c8 smbios:0a91b24c-1cff-4467-a1f4-d460dd5304fd');
    const rolledBack = form('plain').replace('19c02ab2', 'ffffffff');
    expect(parsed(rolledBack).identity).toBe(identity);
  });

  it('else by what else it has', () => {
    expect(parsed(form('smp of old')).identity).toBe(
      '00:11:22:33:44:55 local:200/vm-200-disk-0.raw',
    );
    const generation = 'vmgenid: 19c02ab2-a615-41c3-a7c7-7fe8be12c4c0\nmemory: 512\n';
    expect(parsed(generation).identity).toBe(' vmgenid:19c02ab2-a615-41c3-a7c7-7fe8be12c4c0');
    expect(parsed('memory: 512\n').identity).toBeUndefined();
  });
});

describe('what is not in the form of Proxmox VE', () => {
  it.each([
    ['', 'malformed: 200.conf: holds no settings'],
    ['[PENDING]\nmemory: 512\n', 'malformed: 200.conf: holds no settings'],
    ['memory: 1\0', 'malformed: 200.conf: holds NUL bytes, is no text'],
    ['memory: much\n', 'malformed: 200.conf: memory: "much" is not a whole number from 16'],
    ['cores: 0\n', 'malformed: 200.conf: cores: "0" is not a number from 1 to 8192'],
    ['cpulimit: -1\n', 'malformed: 200.conf: cpulimit: "-1" is not a number from 0 to 8192'],
    [
      'shares: x\nnuma: 7\n',
      'malformed: 200.conf: shares: "x" is not a number from 0 to 50000; numa: "7" is not 0 or 1',
    ],
  ])('%j', (text, expected) => {
    expect(problemOf(text)).toBe(expected);
  });
});
