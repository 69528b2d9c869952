import { expect, it } from 'vitest';
import { FORMS } from '../node/guests/machine-forms.ts';
import { NodeUnderTest } from './node-under-test.ts';

/** Every form of `ID.conf` that is found on nodes, on one node, by what the program says of it. */

const FIRST_ID = 300;
const FORMS_HERE = [...FORMS];

async function node(): Promise<NodeUnderTest> {
  const under = await NodeUnderTest.create([], {
    vms: FORMS_HERE.map((_, index) => ({
      vmid: FIRST_ID + index,
      memoryMib: 2048,
      settings: { cores: 2 },
      guest: { demand: () => ({ cpuCores: 0.5, anonMib: 300, fileSetMib: 300 }) },
    })),
  });
  for (const [index, [, text]] of FORMS_HERE.entries()) {
    under.node.editVm(FIRST_ID + index, () => text);
  }
  under.configure('DEFAULT:\n  manage_vms: true\n');
  return under;
}

interface Row {
  readonly vmid: number;
  readonly name: string;
  readonly allocation: { readonly cores: number; readonly memoryMib: number } | null;
  readonly now: { readonly brief: string };
}

/** Name, vCPUs, memory, and what holds it now. */
const JUDGED: Readonly<Record<string, string>> = {
  'EFI and TPM': 'win11 8 8192 cpu fixed, mem fixed',
  'a description that looks like keys': 'texts 2 1024 cpu fixed, mem fixed',
  'a description with a heading in it': 'described 2 4096 cpu fixed, mem fixed',
  'a limit in fractions': 'limited 4 2048 cpu fixed, mem fixed',
  'a template': 'golden 1 1024 template',
  'arguments and a CPU of its own': 'args 4 4096 cpu fixed, mem fixed',
  'as recorded, of qm create': 'vm1 1 256 cpu fixed, mem fixed',
  'auto-ballooning': 'auto 2 8192 cpu fixed, mem fixed',
  'carriage returns, and no newline at the end': 'dos 2 2048 cpu fixed, mem fixed',
  'cloud-init': 'cloud 2 1024 cpu fixed, mem fixed',
  'hotplug 0': 'zero 2 2048 cpu fixed, mem fixed',
  'hotplug 1': 'one 2 2048 cpu fixed, mem fixed',
  'hotplug of all': 'hot 4 2048 cpu measuring, mem observed briefly',
  hugepages: 'huge 4 16384 cpu fixed, mem fixed',
  'locked by a backup': 'locked 1 1024 locked (backup)',
  'memory by its long form': 'long 2 3072 cpu fixed, mem fixed',
  'more vcpus than there are': 'many 2 2048 cpu fixed, mem fixed',
  'no balloon device': 'fixed 2 4096 cpu fixed, mem fixed',
  'nothing but a disk': 'VM302 1 512 cpu fixed, mem fixed',
  'numa nodes by hand': 'numa 4 8192 cpu measuring, mem fixed',
  passthrough: 'gpu 6 16384 cpu fixed, mem fixed',
  'pending values': 'vm1 1 384 pending changes',
  plain: 'plain 2 2048 cpu fixed, mem fixed',
  'smp of old': 'old 6 1024 cpu fixed, mem fixed',
  'snapshots with other values': 'snap 2 2048 cpu fixed, mem fixed',
  'sockets without cores': 'sockets 3 2048 cpu fixed, mem fixed',
  'suspended to disk': 'asleep 1 1024 locked (suspended)',
  'virtio-fs': 'shared 2 2048 cpu measuring, mem fixed',
};

it('each form of a configuration is taken for what it is', async () => {
  const under = await node();
  const { stdout } = await under.run(['status', '--json']);
  const rows: readonly Row[] = JSON.parse(stdout).containers;
  const judged = rows.map(({ vmid, name, allocation, now }) => {
    const has = allocation === null ? 'unread' : `${allocation.cores} ${allocation.memoryMib}`;
    return [
      FORMS_HERE[vmid - FIRST_ID]?.[0],
      `${name} ${has} ${now.brief.replace(/ \d+ min$/, '')}`,
    ];
  });
  expect(Object.fromEntries(judged)).toEqual(JUDGED);
});

it('check-config says of each what changes at its next start alone', async () => {
  const { stdout, code } = await (await node()).run(['check-config']);
  expect(code).toBe(0);
  const notes = stdout.matchAll(
    /^Note: VM (\d+) \(\S+\) is not scaled in (CPU|memory): (.*)\. Rem/gm,
  );
  const of = new Map<string, string[]>();
  for (const [, vmid, what, why = ''] of notes) {
    const name = FORMS_HERE[Number(vmid) - FIRST_ID]?.[0] ?? '';
    of.set(name, [...(of.get(name) ?? []), what === 'CPU' ? 'vcpus' : why]);
  }
  const told = new Map([...of].map(([name, whys]) => [name, whys.join(' | ')]));
  const ordinary = 'vcpus | its balloon does not follow a target (shares: 1000)';
  const others = [...FORMS.keys()].flatMap((name) => {
    const what = told.get(name) ?? 'nothing';
    return what === ordinary ? [] : [[name, what]];
  });
  expect(Object.fromEntries(others)).toEqual({
    'a template': 'nothing',
    'auto-ballooning': 'vcpus | pvestatd balloons it between 1024 and 8192 MB (shares: 2000)',
    'hotplug of all': 'nothing',
    hugepages: 'vcpus | it uses huge pages of the host (hugepages: 1024)',
    'no balloon device': 'vcpus | it has no balloon device (balloon: 0)',
    'numa nodes by hand': 'its balloon does not follow a target (shares: 1000)',
    passthrough: 'vcpus | a device of the host is passed through (hostpci0), which pins its memory',
    'pending values': 'vcpus | pvestatd balloons it between 200 and 384 MB (shares: 1000)',
    'virtio-fs': 'its balloon does not follow a target (shares: 1000)',
  });
});
