import { describe, expect, it } from 'vitest';
import { mib, type Vmid } from '../../../src/core/units.ts';
import { parseMachineConfig } from '../../../src/node/guests/qemu.ts';
import { machineChange, qmArguments } from '../../../src/node/guests/qm.ts';
import type { SetRequest } from '../../../src/node/port.ts';
import { form } from './machine-forms.ts';

const VMID = 200 as Vmid;
const DIGEST = 'b521a922f1aed3b40f29e7884ec7d7cd5e91bd01';

function asked(name: string, request: Partial<SetRequest>): string {
  const config = parseMachineConfig(VMID, form(name), DIGEST);
  if (!config.ok) throw new Error(config.detail);
  const made = machineChange(config.value, { vmid: VMID, digest: DIGEST, ...request });
  if (!made.ok) return `no: ${made.why}`;
  return qmArguments(VMID, made.settings).join(' ').replace(` --digest ${DIGEST}`, '');
}

describe('qm set', () => {
  it.each([
    [{ cpuLimit: 1.25 }, 'set 200 --cpulimit 1.25'],
    [{ cpuLimit: null }, 'set 200 --delete cpulimit'],
    [{ cores: 3 }, 'set 200 --vcpus 3'],
    [{ memoryMib: mib(3072) }, 'set 200 --balloon 3072'],
    [{ memoryMib: mib(4608) }, 'set 200 --balloon 4608 --memory 4608'],
    [{ cores: 6, memoryMib: mib(3000) }, 'set 200 --vcpus 6 --balloon 3000'],
    [{ cores: 17 }, 'no: vcpus must be from 1 to 16, not 17'],
    [{ cpuLimit: 5 }, 'set 200 --cpulimit 5'],
    [{ cpuLimit: 129 }, 'no: cpulimit must be from 0.01 to 128, not 129'],
    [{}, 'no: nothing is to be changed'],
    [{ cores: 2, digest: 'x' }, 'no: the digest of the configuration is not a SHA-1'],
  ])('%j of one whose levers all move', (request, expected) => {
    expect(asked('hotplug of all', request)).toBe(expected);
  });

  it('never asks for what would wait for the next start', () => {
    expect(asked('plain', { cores: 1 })).toMatch(/^no: its vcpus only change at the next start/);
    expect(asked('plain', { memoryMib: mib(1024) })).toMatch(/^no: its balloon does not follow/);
    expect(asked('passthrough', { memoryMib: mib(1024) })).toMatch(/^no: a device of the host/);
  });

  it('takes the last module out where that is asked for, and no other', () => {
    const text = 'cores: 2\nhotplug: memory\nmemory: 2560\nnuma: 1\n';
    const config = parseMachineConfig(VMID, text, DIGEST);
    if (!config.ok) throw new Error(config.detail);
    const args = (memoryMib: number, unplugs?: true): string => {
      const request = { vmid: VMID, digest: DIGEST, memoryMib: mib(memoryMib) };
      const made = machineChange(config.value, { ...request, ...(unplugs && { unplugs }) });
      return made.ok ? qmArguments(VMID, made.settings).slice(2, -2).join(' ') : 'no';
    };
    expect(args(2048, true)).toBe('--memory 2048');
    expect([args(2048), args(1536, true), args(2304, true)]).toEqual(['no', 'no', 'no']);
  });

  it('reverts what is pending of its own keys, and nothing else', () => {
    expect(asked('pending values', { revert: ['vcpus', 'cpulimit', 'affinity'] })).toBe(
      'set 200 --revert vcpus,cpulimit',
    );
    expect(asked('plain', { revert: ['vcpus'] })).toBe('no: there is nothing to revert');
  });
});
