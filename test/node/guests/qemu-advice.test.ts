import { describe, expect, it } from 'vitest';
import type { Vmid } from '../../../src/core/units.ts';
import { parseMachineConfig } from '../../../src/node/guests/qemu.ts';
import { machineAdvice, type Wanted } from '../../../src/node/guests/qemu-advice.ts';
import { FORMS } from './machine-forms.ts';

const ID = 200 as Vmid;

function proposed(text: string, wanted?: Wanted): readonly string[] {
  const advice = machineAdvice(ID, text, wanted);
  if (!advice.ok) return [advice.detail];
  return advice.value.proposals.map(({ command }) => command.replace('qm set 200 ', ''));
}

/** The configuration with what a command sets, as it is after the next start. */
function after(text: string, command: string): string {
  const words = command.split(' ');
  let now = text.split(/^\[/m, 1)[0] ?? '';
  for (let at = 0; at < words.length; at += 2) {
    const [option = '', value = ''] = [words[at]?.slice(2), words[at + 1]];
    const key = option === 'delete' ? value : option;
    now = now.replace(new RegExp(`^${key}:.*\\r?\\n?`, 'm'), '');
    if (option !== 'delete') now = `${key}: ${value}\n${now}`;
  }
  return now;
}

describe('what is proposed for a machine', () => {
  it.each([
    [
      'cores: 4\nmemory: 2048\n',
      [
        '--hotplug network,disk,usb,cpu --shares 0',
        '--hotplug network,disk,usb,cpu,memory --numa 1',
      ],
    ],
    [
      'cores: 1\nmemory: 2000\nshares: 0\n',
      ['--hotplug network,disk,usb,memory --numa 1 --memory 2048'],
    ],
    ['cores: 1\nmemory: 2048\nballoon: 0\nnuma0: cpus=0\n', ['--delete balloon --shares 0']],
    // pvestatd balloons it, which is somebody's choice; a device of the host pins its memory.
    ['cores: 1\nmemory: 2048\nballoon: 1024\nvirtiofs0: x\n', []],
    ['cores: 2\nmemory: 2048\nhostpci0: 01:00\n', ['--hotplug network,disk,usb,cpu']],
    ['cores: 2\nmemory: 2048\nshares: 0\nnuma: 1\nhotplug: cpu,memory\n', []],
  ])('of %j is %j', (text, expected) => {
    expect(proposed(text)).toEqual(expected);
  });

  it('has sizes where a record asks for more than it can have while it runs', () => {
    const text = 'cores: 2\nmemory: 2048\nshares: 0\nnuma: 1\nhotplug: cpu,memory\n';
    expect(proposed(text, { cores: 2, memoryMib: 1000 })).toEqual([]);
    expect(proposed(text, { cores: 2.5, memoryMib: 3000 })).toEqual([
      '--sockets 1 --cores 3 --memory 3072',
    ]);
  });

  it('has no more than the host: with more CPUs than that a machine does not start', () => {
    const text = 'cores: 2\nmemory: 2048\nshares: 0\nnuma: 1\nhotplug: cpu,memory\n';
    const most = { cores: 64, memoryMib: 500_000 };
    const advice = machineAdvice(ID, text, most, { cpus: 8, memoryMib: 15_829.5 });
    expect(advice.ok && advice.value.proposals.map(({ command }) => command)).toEqual([
      'qm set 200 --sockets 1 --cores 8 --memory 15360',
    ]);
  });

  it.each([...FORMS.keys()])(
    '%s: makes its levers live at the next start, or is nothing',
    (name) => {
      const text = FORMS.get(name) ?? '';
      const before = parseMachineConfig(ID, text, '');
      if (!before.ok || before.value.template) {
        expect(machineAdvice(ID, text).ok).toBe(false);
        return;
      }
      for (const command of proposed(text)) {
        const config = parseMachineConfig(ID, after(text, command), '');
        if (!config.ok) throw new Error(`${command}: ${config.detail}`);
        const { cores, memoryMib } = config.value.reaches;
        if (command.includes('cpu')) expect(cores.kind).toBe('live');
        if (command.includes('--shares 0')) expect(memoryMib).not.toHaveProperty('oneWay');
        if (command.includes('--numa')) expect(memoryMib).toHaveProperty('pluggedFrom');
      }
    },
  );
});
