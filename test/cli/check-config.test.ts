import { describe, expect, it } from 'vitest';
import { checkConfig, type GuestList } from '../../src/cli/check-config.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { GuestConfig } from '../../src/core/observation.ts';
import { missing, present, type Reading } from '../../src/core/reading.ts';
import { mib, parseVmid, type Vmid } from '../../src/core/units.ts';
import { parseMachineConfig } from '../../src/node/guests/qemu.ts';

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
    cpuLimit: null,
    memoryMib: mib(512),
    swapMib: mib(512),
    tags: [],
    lock: undefined,
    template: false,
    pendingKeys: [],
    digest: '',
    pins: [],
    identity: undefined,
    ...more,
  });
}

function run(
  text: string,
  guests: GuestList,
  machines: ReadonlyMap<Vmid, Reading<GuestConfig>> = new Map(),
  width?: number,
): { exit: number; lines: string[] } {
  let written = '';
  const loadResult = parseConfig(text, '/etc/x.yaml', {});
  const write = (more: string) => {
    written += more;
  };
  const exit = checkConfig({
    loadResult,
    node: 'pve1',
    guests,
    host: { cpus: 12, memoryMib: 32_768 },
    machines,
    width,
    programProblem: () => undefined,
    readCluster: () => missing('absent', 'there is none'),
    write,
  });
  expect(written.endsWith('\n')).toBe(true);
  return { exit, lines: written.slice(0, -1).split('\n') };
}

const NONE: GuestList = present(new Map());

const SECTIONS = ['Settings of each policy (+ growing, - shrinking):', ''];
const TIMING_HEAD = 'COOLDOWN s  PERIODS  GRACE s  HOLD s  PRIORITY';
const TIMING = '+0 -300     +1 -3    600      3600    50';

describe('check-config', () => {
  it('names raw lines that take a resource out of its hands', () => {
    const cpuset = { what: 'cpuset', line: 'lxc.cgroup2.cpuset.cpus: 12-15' } as const;
    const memory = { what: 'memory', line: 'lxc.cgroup2.memory.max: 1G' } as const;
    const guests = present(
      new Map([[id('101'), guest(id('101'), 'web', { pins: [cpuset, memory] })]]),
    );
    const notes = (yaml: string) => run(yaml, guests).lines.filter((line) => /lxc\./.test(line));
    const ofMemory =
      'Note: container 101 (web) has the line "lxc.cgroup2.memory.max: 1G", ' +
      'so its memory is not scaled';
    expect(notes('DEFAULT: {}\n')).toEqual([
      'Note: container 101 (web) has the line "lxc.cgroup2.cpuset.cpus: 12-15", so its CPU is ' +
        'not scaled; `cpu_unit: cpulimit` works beside such a line',
      ofMemory,
    ]);
    expect(notes('DEFAULT: {cpu_unit: cpulimit}\n')).toEqual([ofMemory]);
    expect(notes('DEFAULT: {ignore_lxc: 101}\n')).toEqual([]);
    expect(notes('DEFAULT: {scale: memory}\n')).toEqual([ofMemory]);
    expect(notes('DEFAULT: {scale: cpu, cpu_unit: cpulimit}\n')).toEqual([]);
  });

  it('says which ids of a tier are of the other kind, or of nobody', () => {
    const guests = present(
      new Map([
        [id('101'), guest(id('101'), 'web')],
        [id('201'), guest(id('201'), 'golden', { kind: 'qemu', template: true })],
      ]),
    );
    const machines = new Map(
      ['200', '201'].map((one) => [
        id(one),
        guest(id(one), one === '201' ? 'golden' : 'win11', { kind: 'qemu', tags: ['Desk'] }),
      ]),
    );
    const told = (keys: string) => {
      const yaml = `DEFAULT: {manage_vms: true}\nTIER_A: {${keys}}\n`;
      return run(yaml, guests, machines)
        .lines.filter((line) => /^Note: TIER_A|^Not on|^No guest|golden/.test(line))
        .map((line) => line.replace(/ {2,}/g, ', '));
    };
    const rest = 'so that has no effect: move it there, or to guests, which is for both';
    const golden = '201 VM, golden, -, ignored, it is a template';
    expect(told('virtual_machines: [101], lxc_containers: [200]')).toEqual([
      'Note: TIER_A lists 200 under lxc_containers, and it is a virtual machine ' +
        `(virtual_machines), ${rest}`,
      'Note: TIER_A lists 101 under virtual_machines, and it is a container ' +
        `(lxc_containers), ${rest}`,
      golden,
    ]);
    expect(told('guests: [101, 200]')).toEqual([golden]);
    expect(told('virtual_machines: [999, "db-*"], guests: [998]')).toEqual([
      golden,
      'Not on this node: 998 (TIER_A), 999 (TIER_A).',
      'No guest matches: db-* (TIER_A).',
    ]);
    const only = (shown: string, key: string, what: string, right: string) =>
      `Note: TIER_A lists ${shown} under ${key}, and it means only ${what} (${right}), ${rest}`;
    const ofMachines = ['lxc_containers', 'virtual machine', 'virtual_machines'] as const;
    const asContainer = (shown: string, ids: string) =>
      only(shown, ofMachines[0], `${ofMachines[1]}${ids}`, ofMachines[2]);
    expect(told('lxc_containers: [win11, 199-250, 100-250, "gold*", "tag:desk", "w*"]')).toEqual([
      asContainer('199-250', 's 200, 201'),
      asContainer('win11', ' 200'),
      asContainer('gold*', ' 201'),
      asContainer('tag:desk', 's 200, 201'),
      golden,
    ]);
    expect(told('virtual_machines: [web, 100-150, "w*"]')).toEqual([
      only('100-150', 'virtual_machines', 'container 101', 'lxc_containers'),
      only('web', 'virtual_machines', 'container 101', 'lxc_containers'),
      golden,
    ]);
    expect(told('guests: [web, win11, "tag:desk"]')).toEqual([golden]);
  });

  it('says which guest a name was most likely meant for that nobody has', () => {
    const guests = present(new Map([[id('101'), guest(id('101'), 'nextcloud')]]));
    const { lines } = run('DEFAULT: {ignore_lxc: [nextclod, CT101, CT102, mail]}\n', guests);
    expect(lines.find((line) => line.startsWith('No guest'))).toBe(
      'No guest matches: nextclod (ignore_lxc; did you mean nextcloud?), ' +
        'ct101 (ignore_lxc; did you mean 101?), ct102 (ignore_lxc), mail (ignore_lxc).',
    );
  });

  it.each([60, 80])('loses no word at a width of %i, and cuts none in two', (width) => {
    const name = 'a-container-with-a-name-of-33-chars';
    const guests = present(
      new Map([101, 102].map((one) => [id(`${one}`), guest(id(`${one}`), name)])),
    );
    const yaml = `TIER_web: {lxc_containers: [101, ${name}, nobody], preset: nextcloud}\n`;
    const wordsOf = (lines: readonly string[]) => lines.join(' ').trim().split(/\s+/);
    const whole = run(yaml, guests).lines;
    const folded = run(yaml, guests, new Map(), width).lines;
    expect(folded.filter((line) => line.length > width)).toEqual([]);
    // The table of policies becomes a paragraph for each: the same cells behind their heads.
    const end = (lines: readonly string[]) => lines.findIndex((line) => /^Settings/.test(line));
    expect(wordsOf(folded.slice(0, end(folded)))).toEqual(wordsOf(whole.slice(0, end(whole))));
    for (const cell of ['1024-host', '+512', 'x0.5', 'conservative.']) {
      expect(wordsOf(folded).join(' ')).toContain(cell);
    }
  });

  it('says what the host cannot give', () => {
    const notes = (yaml: string) => run(yaml, NONE).lines.filter((line) => line.startsWith('Note'));
    expect(notes('DEFAULT: {reserve_memory_mb: 31G, min_memory: 31G}\n')).toEqual([]);
    const yaml = 'DEFAULT: {reserve_memory_mb: 32G}\nTIER_a: {guests: [101], min_memory: 64G}\n';
    expect(notes(yaml)).toEqual([
      'Note: reserve_memory_mb: 32768 MiB is all the memory of the host (32768 MiB), ' +
        'so no guest gets more',
      'Note: min_memory of TIER_a: 65536 MiB is all the memory of the host (32768 MiB), ' +
        'or more; lower it',
    ]);
    const far = 'NODES: {far: {host: pve2, connection: ssh}}\n';
    expect(notes(`${far}TIER_a: {guests: [far/101], min_memory: 64G}\n`)).toEqual([]);
  });

  const ofCores = (key: string, most: number) =>
    `can have at most 4 cores while it runs (sockets x cores), and ${key}. For more: ` +
    `\`qm set 200 --sockets 1 --cores ${most} --vcpus 2\`, then stop and start it`;
  const ofMemory = (key: string, most: number) =>
    `can have at most 8192 MB while it runs, and ${key}. For more: ` +
    `\`qm set 200 --memory ${most}\`, then stop and start it`;
  it.each([
    ['max_cores: 4, max_memory: 8192', []],
    ['max_cores: 8', [ofCores('max_cores is 8', 8)]],
    ['max_cores: 8, scale: memory', []],
    ['min_cores: 6, max_cores: 8', [ofCores('min_cores is 6', 8)]],
    // More CPUs than the host has would keep it from starting.
    ['max_cores: 64', [ofCores('max_cores is 64', 12)]],
    ['max_cores: 400 %', [ofCores('max_cores is 8', 8)]],
    ['max_cores: 4, max_memory: 12000', [ofMemory('max_memory is 12000', 12_288)]],
    ['max_cores: 4, min_memory: 9000, max_memory: 12000', [ofMemory('min_memory is 9000', 12_288)]],
    ['max_cores: 4, max_memory: 99999', [ofMemory('max_memory is 99999', 32_768)]],
    ['max_cores: 4, max_memory: 12000, scale: cpu', []],
    [
      'cpu_unit: cpulimit, max_cores: 8',
      [
        'can have at most 2 cores while it runs (vcpus), and max_cores is 8. For more: ' +
          '`qm set 200 --sockets 1 --cores 8 --vcpus 8`, then stop and start it',
      ],
    ],
  ])('says which maximum a machine cannot come to while it runs: %s', (keys, expected) => {
    const text =
      'cores: 4\nvcpus: 2\nhotplug: cpu\nmemory: 8192\nballoon: 2048\nshares: 0\nname: db\n';
    const config = parseMachineConfig(id('200'), text, '');
    const guests = present(new Map([[id('200'), config]]));
    const { lines } = run(`DEFAULT: {manage_vms: true, ${keys}}\n`, guests, guests.value);
    const notes = lines.filter((line) => line.includes('can have at most'));
    expect(notes).toEqual(expected.map((note) => `Note: VM 200 (db) ${note}`));
  });

  it('says from which use of the host on nothing more is given', () => {
    const own = 'max_memory_usage_threshold: 90, max_cpu_usage_threshold: 80';
    expect(run(`DEFAULT: {${own}}\n`, NONE).lines[2]).toContain(
      "Above 90 % use of the host's memory no container gets more; " +
        'from 80 % of its CPUs on, none gets more cores.',
    );
  });

  it('says who is managed by a list alone, where, and which resource of it', () => {
    const guests = present(
      new Map([101, 102].map((one) => [id(`${one}`), guest(id(`${one}`), 'x')])),
    );
    const yaml = 'DEFAULT: {manage: listed}\nTIER_a: {guests: [pve1/101, pve2/102], scale: cpu}\n';
    const { lines } = run(yaml, guests);
    expect(lines).toContain('101   x     TIER_a  act      by its id');
    const why = 'no tier and no group lists it, and `manage: listed` is set';
    expect(lines).toContain(`102   x     -       ignored  ${why}`);
    expect(lines.some((line) => /^TIER_a +threshold, CPU only /.test(line))).toBe(true);
  });

  it('prints every problem and ends with 78', () => {
    const text = 'DEFAULT:\n  max_cores: 0\n  pol_interval: 5\n';
    expect(run(text, NONE)).toEqual({
      exit: 78,
      lines: [
        '/etc/x.yaml:2: max_cores: 0 is too low; allowed: a whole number from 1 to 8192, ' +
          'or in tenths from 0.1 where cpu_unit is cpulimit; or configured (what you gave it), ' +
          'or a share of that such as 150 %',
        '/etc/x.yaml:3: pol_interval: unknown key; did you mean poll_interval?',
        '',
        'The configuration has 2 problems.',
      ],
    });
    expect(run('TEIR_1:\n', NONE).lines.at(-1)).toBe('The configuration has one problem.');
  });

  it('says which parts of the program have a log level of their own', () => {
    const { lines } = run('DEFAULT: {log_level: {notify: error, act: debug}}\n', NONE);
    expect(lines).toContain('Log: from info on, in act from debug on, in notify from error on.');
    const remote = run('DEFAULT: {log_syslog: "udp://log.lan"}\n', NONE).lines;
    expect(remote).toContain('Log: from info on; also to udp://log.lan:514.');
    expect(run('DEFAULT: {log_level: debug}\n', NONE).lines.join()).not.toContain('Log:');
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
      '  cooldown_seconds: {down: 900}',
      '  evaluation_periods: 6',
      '  priority: 90',
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
        'A cycle every 300 seconds, the counters read every 10; ' +
          'the host keeps 10 % of its CPUs and 2048 MiB.',
        'Together, guests may be promised at most 2 x the memory left after the reserve. ' +
          "Above 98 % use of the host's memory no container gets more.",
        'Off-peak time: none, since energy_mode is off.',
        '',
        'VMID  NAME               POLICY    MODE     WHY',
        '101   database           DEFAULT   act      since it is in no tier (waits: lock backup)',
        '103   old                -         ignored  listed in ignore_lxc',
        '104   base               -         ignored  it is a template',
        '105   -                  -         ignored  its configuration cannot be read (line 3 ' +
          'of 105.conf\\x1b)',
        '106   evil\\x1b[2J\\nname  DEFAULT   act      since it is in no tier',
        '1002  shop               TIER_web  act      by its id',
        '',
        'Not on this node: 400 (ignore_lxc), 500 (TIER_web).',
        '',
        ...SECTIONS,
        `POLICY    SCALING    CORES  CPU        STEP  MEMORY MiB  MEMORY   STEPS      TIMES  ` +
          TIMING_HEAD,
        'DEFAULT   threshold  1-8    20-80 %    1-4   512-host    20-80 %  +512 -512  x1     ' +
          TIMING,
        'TIER_web  threshold  1-8    29-70.5 %  1-4   512-8192    20-80 %  +512 -512  x0.5   ' +
          '+0 -900     +6 -6    600      3600    90',
      ],
    });
  });

  it('says nothing of a tier for guests of another node', () => {
    const { lines } = run('TIER_far: {guests: [pve9/101]}\n', present(new Map()));
    expect(lines.join('\n')).not.toMatch(/No guest matches|autoscale-tier-far/);
  });

  it('says which names mean several containers, or none', () => {
    const text = [
      'DEFAULT:',
      '  ignore_lxc: [Vault, mail]',
      'TIER_web:',
      '  lxc_containers: [web, "db-*"]',
      'TIER_later: {min_cores: 2}',
      '',
    ].join('\n');
    const of = (vmid: string, name: string) => [id(vmid), guest(id(vmid), name)] as const;
    const names = ['web', 'WEB', 'vault', 'vault', 'db-1', 'db-2', 'x'];
    const list: GuestList = present(
      new Map(names.map((name, index) => of(`${101 + index}`, name))),
    );
    const { lines } = run(text, list);
    expect(lines.slice(0, 2)).toEqual([
      'Note: the name vault in ignore_lxc means 2 containers: 103, 104',
      'Note: the name web in TIER_web means 2 containers: 101, 102',
    ]);
    expect(lines).toContain(
      'No guest matches: mail (ignore_lxc), tag:autoscale-tier-later (TIER_later).',
    );
    expect(lines.filter((line) => /ignored .*by the name vault/.test(line))).toHaveLength(2);
    expect(lines.filter((line) => /TIER_web +act +by the name web/.test(line))).toHaveLength(2);
  });

  it('prints whether a container is changed, only observed or left alone, and why', () => {
    const text = [
      'DEFAULT:',
      '  ignore_lxc: ["test-*", "tag:lab", 400, 400, "tag:nobody"]',
      'TIER_web:',
      '  lxc_containers: ["web-*", "120-139"]',
      'TIER_own name:',
      '  lxc_containers: ["*-1", "tag:Web", "tag:wbe", "mail-*"]',
      '',
    ].join('\n');
    const of = (vmid: string, name: string, ...tags: string[]) =>
      [id(vmid), guest(id(vmid), name, { tags })] as const;
    const guests = present(
      new Map([
        of('101', 'web-1'),
        of('102', 'web-2', 'autoscale-observe'),
        of('103', 'mail', 'web'),
        of('104', 'test-9', 'autoscale-observe'),
        of('105', 'x', 'lab'),
        of('106', 'x', 'autoscale-ignore'),
        of('107', 'x', 'autoscale-tier-wbe', 'autoscale-obsrve'),
        of('125', 'x'),
      ]),
    );
    const { lines } = run(text, guests);
    expect(lines.slice(0, lines.indexOf(SECTIONS[0] ?? '') - 1)).toEqual([
      'Note: container 101 (web-1) is in TIER_web by the name web-* and in TIER_own name ' +
        'by the name *-1; TIER_web counts, since it stands first',
      'Note: container 107 (x) has the tag autoscale-tier-wbe, ' +
        'which no TIER_ section answers to; did you mean autoscale-tier-web?',
      'Note: container 107 (x) has the tag autoscale-obsrve, which has no meaning; ' +
        'did you mean autoscale-observe?',
      '',
      'The configuration is valid.',
      ...lines.slice(5, 8),
      '',
      'VMID  NAME    POLICY         MODE     WHY',
      '101   web-1   TIER_web       act      by the name web-*',
      '102   web-2   TIER_web       observe  ' +
        'by the name web-*; only observed, by its tag autoscale-observe',
      '103   mail    TIER_own name  act      by tag:web',
      '104   test-9  -              ignored  listed in ignore_lxc, by the name test-*',
      '105   x       -              ignored  listed in ignore_lxc, by tag:lab',
      '106   x       -              ignored  it has the tag autoscale-ignore',
      '107   x       DEFAULT        act      ' +
        'since it is in no tier; no tier answers to autoscale-tier-wbe',
      '125   x       TIER_web       act      by the ids 120-139',
      '',
      'Not on this node: 400 (ignore_lxc).',
      'No guest matches: tag:nobody (ignore_lxc), mail-* (TIER_own name), ' +
        'tag:wbe (TIER_own name).',
    ]);
  });

  it.each([
    ['energy_mode: on', '22:00 to 6:00, in the time zone of the host'],
    [
      'energy_mode: on, timezone: Asia/Kolkata, off_peak_start: 0',
      '0:00 to 6:00, in the time zone Asia/Kolkata',
    ],
    [
      "energy_mode: on, off_peak_cron: '0 22 * * 1-5', off_peak_minutes: 480",
      "480 minutes from each '0 22 * * 1-5' on, in the time zone of the host",
    ],
  ])('prints the off-peak time: %s', (keys, shown) => {
    expect(run(`DEFAULT: {${keys}}\n`, NONE).lines[3]).toBe(`Off-peak time: ${shown}.`);
  });

  it('prints what the host promises', () => {
    const keys = 'admission: strict, memory_overcommit_ratio: 3, host_emergency_percent: 90.5';
    expect(run(`DEFAULT: {${keys}}\n`, NONE).lines[2]).toBe(
      'Together, guests may be promised at most 1 x the memory left after the reserve. ' +
        "Above 90.5 % use of the host's memory no container gets more.",
    );
  });

  it('prints how the CPU is scaled, whether into swap, and the boosts', () => {
    const text = [
      'DEFAULT: {cpu_unit: cpulimit, min_cores: 0.5, shrink_into_swap: on}',
      'TIER_a: {scaling_mode: boost, boost_factor: 2, manual_hold_seconds: 60}',
      'TIER_b: {scaling_mode: observe, cpu_unit: cores, min_cores: 1}',
      '',
    ].join('\n');
    const { lines } = run(text, NONE);
    expect(lines.slice(lines.indexOf(SECTIONS[0] ?? '') + 2)).toEqual([
      'POLICY   SCALING    CORES           CPU      STEP   MEMORY MiB      MEMORY   STEPS      ' +
        `TIMES  ${TIMING_HEAD}`,
      'DEFAULT  threshold  0.5-8 cpulimit  20-80 %  0.1-4  512-host +swap  20-80 %  +512 -512  ' +
        `x1     ${TIMING}`,
      'TIER_a   boost      0.5-8 cpulimit  20-80 %  0.1-4  512-host +swap  20-80 %  +512 -512  ' +
        `x1     ${TIMING.replace('3600', '60  ')}`,
      'TIER_b   observe    1-8             20-80 %  1-4    512-host +swap  20-80 %  +512 -512  ' +
        `x1     ${TIMING}`,
      '',
      'Boost of TIER_a: from 95 % on in 3 samples in a row, cores x 2, ' +
        'or x 1.25 where that does not fit, for 120 s.',
    ]);
  });

  it('prints what a tier has of its preset, and why', () => {
    const text =
      'TIER_a: {preset: postgres, priority: 5}\nTIER_b: {preset: caddy, min_memory: 64}\n';
    const { lines } = run(`${text}TIER_c: {preset: samba, min_memory: 300}\n`, NONE);
    expect(lines.slice(-3)).toEqual([
      'Preset of TIER_a: postgres gives min_memory: 512, behaviour: conservative. ' +
        'Shared buffers and file cache are what it is fast by, and a kill means recovery.',
      'Preset of TIER_b: caddy gives priority: 70. ' +
        'It is small, and everything behind it waits for it.',
      'Preset of TIER_c: samba gives nothing that the tier does not say. ' +
        'Its memory is file cache for the most part, and each client takes a process more.',
    ]);
  });

  it('prints the remarks first', () => {
    expect(run('TIER_a:\n', NONE).lines[0]).toBe(
      'Note: /etc/x.yaml:1: TIER_a: ' +
        'names no container, so only those with the tag autoscale-tier-a are in it',
    );
  });

  it('prints what the sections come to where there are no containers', () => {
    expect(run('DEFAULT:\n', NONE).lines.slice(5)).toEqual([
      'There are no containers on this node.',
      '',
      ...SECTIONS,
      `POLICY   SCALING    CORES  CPU      STEP  MEMORY MiB  MEMORY   STEPS      TIMES  ` +
        TIMING_HEAD,
      `DEFAULT  threshold  1-8    20-80 %  1-4   512-host    20-80 %  +512 -512  x1     ${TIMING}`,
    ]);
  });

  it('prints what the sections come to where no containers can be seen, and why', () => {
    const guests = missing('absent', '/etc/pve/lxc is not there');
    const { exit, lines } = run('TIER_a:\n  lxc_containers: 100\n  max_cores: 4\n', guests);
    expect(exit).toBe(0);
    expect(lines.slice(5)).toEqual([
      'No containers could be seen: /etc/pve/lxc is not there.',
      '',
      ...SECTIONS,
      `POLICY   SCALING    CORES  CPU      STEP  MEMORY MiB  MEMORY   STEPS      TIMES  ` +
        TIMING_HEAD,
      `DEFAULT  threshold  1-8    20-80 %  1-4   512-host    20-80 %  +512 -512  x1     ${TIMING}`,
      `TIER_a   threshold  1-4    20-80 %  1-4   512-host    20-80 %  +512 -512  x1     ${TIMING}`,
    ]);
  });
});
