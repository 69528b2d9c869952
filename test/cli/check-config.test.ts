import { describe, expect, it } from 'vitest';
import { checkConfig, type GuestList } from '../../src/cli/check-config.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { GuestConfig } from '../../src/core/observation.ts';
import { missing, present, type Reading } from '../../src/core/reading.ts';
import { mib, parseVmid, type Vmid } from '../../src/core/units.ts';

function id(text: string): Vmid {
  const vmid = parseVmid(text);
  if (vmid === undefined) throw new Error(`${text} is no id`);
  return vmid;
}

function guest(vmid: Vmid, name: string, more: Partial<GuestConfig> = {}): Reading<GuestConfig> {
  return present({
    vmid,
    name,
    cores: 2,
    cpuLimit: undefined,
    memoryMib: mib(512),
    swapMib: mib(512),
    tags: [],
    lock: undefined,
    template: false,
    pendingKeys: [],
    digest: '',
    ...more,
  });
}

function run(text: string, guests: GuestList): { exit: number; lines: string[] } {
  let written = '';
  const loadResult = parseConfig(text, '/etc/x.yaml', {});
  const write = (more: string) => {
    written += more;
  };
  const exit = checkConfig({ loadResult, guests, write });
  expect(written.endsWith('\n')).toBe(true);
  return { exit, lines: written.slice(0, -1).split('\n') };
}

const NONE: GuestList = present(new Map());

describe('check-config', () => {
  it('prints every problem and ends with 78', () => {
    const text = 'DEFAULT:\n  max_cores: 0\n  pol_interval: 5\n';
    expect(run(text, NONE)).toEqual({
      exit: 78,
      lines: [
        '/etc/x.yaml:2: max_cores: 0 is too low; allowed: a whole number from 1 to 8192',
        '/etc/x.yaml:3: pol_interval: unknown key; did you mean poll_interval?',
        '',
        'The configuration has 2 problems.',
      ],
    });
    expect(run('TEIR_1:\n', NONE).lines.at(-1)).toBe('The configuration has one problem.');
  });

  it('prints what each container gets, in the order of the ids', () => {
    const text = [
      'DEFAULT:',
      '  ignore_lxc: [103, 400]',
      'TIER_web:',
      '  lxc_containers: [1002, 500, 600-700]',
      '  cpu_lower_threshold: 29',
      '  cpu_upper_threshold: 70.5',
      '  max_memory: 8192',
      '  behaviour: conservative',
      '',
    ].join('\n');
    const guests: GuestList = present(
      new Map([
        [id('1002'), guest(id('1002'), 'shop')],
        [id('101'), guest(id('101'), 'database', { lock: 'backup' })],
        [id('103'), guest(id('103'), 'old')],
        [id('104'), guest(id('104'), 'base', { template: true })],
        [id('105'), missing('malformed', 'line 3 of 105.conf\u001b')],
        [id('106'), guest(id('106'), 'evil\u001b[2J\nname')],
      ]),
    );
    expect(run(text, guests)).toEqual({
      exit: 0,
      lines: [
        'The configuration is valid.',
        'A cycle every 300 seconds; the host keeps 10 % of its CPUs and 2048 MiB.',
        '',
        'VMID  NAME               POLICY    CORES  CPU        STEP  MEMORY MiB  MEMORY   ' +
          'STEPS      TIMES',
        '101   database           DEFAULT   1-8    20-80 %    1-4   512-host    20-80 %  ' +
          '+512 -512  x1     (waits: lock backup)',
        '103   old                left alone: it is in ignore_lxc',
        '104   base               left alone: it is a template',
        '105   -                  left alone: its configuration cannot be read (line 3 ' +
          'of 105.conf\\x1b)',
        '106   evil\\x1b[2J\\nname  DEFAULT   1-8    20-80 %    1-4   512-host    20-80 ' +
          '%  +512 -512  x1',
        '1002  shop               TIER_web  1-8    29-70.5 %  1-4   512-8192    20-80 %  ' +
          '+512 -512  x0.5',
        '',
        'Not on this node: 400 (ignore_lxc), 500 (TIER_web).',
      ],
    });
  });

  it('prints the remarks first', () => {
    expect(run('TIER_a:\n', NONE).lines[0]).toBe(
      'Note: /etc/x.yaml:1: TIER_a: ' +
        'has no effect, since its lxc_containers names no container',
    );
  });

  it('prints what DEFAULT comes to where there are no containers', () => {
    expect(run('DEFAULT:\n', NONE).lines.slice(3)).toEqual([
      'There are no containers on this node. What DEFAULT comes to:',
      '',
      'POLICY   CORES  CPU      STEP  MEMORY MiB  MEMORY   STEPS      TIMES',
      'DEFAULT  1-8    20-80 %  1-4   512-host    20-80 %  +512 -512  x1',
    ]);
  });

  it('prints what the sections come to where no containers can be seen, and why', () => {
    const guests = missing('absent', '/etc/pve/lxc is not there');
    const { exit, lines } = run('TIER_a:\n  lxc_containers: 100\n  max_cores: 4\n', guests);
    expect(exit).toBe(0);
    expect(lines.slice(3)).toEqual([
      'No containers could be seen: /etc/pve/lxc is not there. What the sections come to:',
      '',
      'POLICY   CORES  CPU      STEP  MEMORY MiB  MEMORY   STEPS      TIMES',
      'DEFAULT  1-8    20-80 %  1-4   512-host    20-80 %  +512 -512  x1',
      'TIER_a   1-4    20-80 %  1-4   512-host    20-80 %  +512 -512  x1',
    ]);
  });
});
