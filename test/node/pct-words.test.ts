import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { FailureWhy } from '../../src/core/failure-why.ts';
import { complaintIn, failureWords } from '../../src/node/pct-words.ts';
import { RECORDED_COMMANDS } from './local/world.ts';

/** As recorded from a node of Proxmox VE 8.4; the last ones are read from its source. */
const SAID: readonly (readonly [FailureWhy, string, string])[] = [
  [
    'locked',
    'CT is locked (backup)\n',
    'another operation has locked the container: CT is locked (backup)',
  ],
  ['locked', 'CT is locked (mounted)\n', 'CT is locked (mounted)'],
  [
    'busy',
    'trying to acquire lock...\n' +
      "can't lock file '/run/lock/lxc/pve-config-101.lock' - got timeout\n",
    "another operation holds the lock of its configuration: can't lock file",
  ],
  [
    'modified',
    'detected modified configuration - file changed by other user? Try again.\n',
    'changed by someone else meanwhile: detected modified configuration',
  ],
  [
    'gone',
    "Configuration file 'nodes/pve1/lxc/999.conf' does not exist\n",
    'no longer on this node',
  ],
  ['gone', "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist\n", '999.conf'],
  [
    'exists',
    "vm 103 - unable to parse value of 'foo' - unknown setting 'foo'\n" +
      "CT 121 already exists on node 'pve1'\n",
    "CT 121 already exists on node 'pve1'",
  ],
  ['exists', '400 Parameter verification failed.\nvmid: VM 100 already exists\n', 'vmid: VM 100'],
  [
    'no-quorum',
    "unable to open file '/etc/pve/nodes/pve1/lxc/102.conf.tmp.27265' - Permission denied\n",
    'no quorum, so it cannot be written: unable to open file',
  ],
  ['no-quorum', 'cluster not ready - no quorum?\n', 'cluster not ready - no quorum?'],
  [
    'no-quorum',
    "unable to create directory '/etc/pve/priv/lock' - Permission denied\n",
    'unable to create directory',
  ],
  [
    'unreachable',
    'ipcc_send_rec[1] failed: Connection refused\n' +
      'Unable to load access control list: Connection refused\n',
    'the cluster file system (pve-cluster) does not answer: ipcc_send_rec[1] failed',
  ],
  [
    'unreachable',
    "unable to open file '/etc/pve/x' - Transport endpoint is not connected\n",
    'Transport endpoint is not connected',
  ],
  ['denied', 'Permission check failed (/vms/101, VM.Config.CPU)\n', 'Permission check failed'],
  [
    'other',
    "400 Parameter verification failed.\ncpulimit: unable to hotplug cpulimit: closing file '/x' " +
      'failed - Invalid argument\n\npct set <vmid> [OPTIONS]\n',
    'the running guest did not take the change: cpulimit: unable to hotplug',
  ],
  [
    'other',
    '400 Parameter verification failed.\ncores: value must have a minimum value of 1\n' +
      'pct set <vmid> [OPTIONS]\n',
    'cores: value must have a minimum value of 1',
  ],
  ['other', '400 not enough arguments\npct set <vmid>\n', '400 not enough arguments'],
  [
    'other',
    "unable to open '/sys/fs/cgroup/lxc/101/memory.max' - Permission denied\n",
    'memory.max',
  ],
  ['other', 'VM quit/powerdown failed - got timeout\n', 'VM quit/powerdown failed - got timeout'],
  ['other', "storage 'none' does not exist\n", "storage 'none' does not exist"],
  ['other', ' \n', 'no reason was given (exit code 255)'],
];

describe('what pct says', () => {
  it.each(SAID)('is of the kind %s: %j', (why, stderr, expected) => {
    const words = failureWords(255, stderr);
    expect(words.why).toBe(why);
    expect(words.message).toContain(expected);
    expect(words.message).not.toContain('\n');
  });

  /** Words of recordings by the kind that they must come to. */
  const BY_WORDS: readonly (readonly [RegExp, FailureWhy])[] = [
    [/CT is locked/, 'locked'],
    [/can't lock file/, 'busy'],
    [/detected modified/, 'modified'],
    [/Configuration file/, 'gone'],
    [/CT \d+ already exists/, 'exists'],
    [/Permission denied|no quorum/, 'no-quorum'],
  ];

  it.skipIf(!existsSync(RECORDED_COMMANDS))('is of its kind in every recorded failure', () => {
    const recorded = readdirSync(RECORDED_COMMANDS)
      .filter((name) => name.endsWith('.jsonl'))
      .flatMap((name) => readFileSync(join(RECORDED_COMMANDS, name), 'utf8').split('\n'))
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { argv?: string[]; exit: number; stderr: string })
      .filter(({ argv = [''], exit }) => ['pct', 'pvesh', 'qm'].includes(argv[0] ?? '') && exit > 0)
      .filter(({ argv }) => argv?.[1] !== 'exec');
    expect(recorded.length).toBeGreaterThan(70);
    const seen = new Set<FailureWhy>();
    for (const { exit, stderr } of recorded) {
      const { why, message } = failureWords(exit, stderr);
      seen.add(why);
      expect(why, stderr).toBe(BY_WORDS.find(([words]) => words.test(stderr))?.[1] ?? 'other');
      expect(message, stderr).not.toMatch(/^400 (?!not)|<vmid>|trying to|no reason|\n/);
      expect(message.length).toBeGreaterThan(10);
    }
    expect([...seen].sort()).toEqual([...BY_WORDS.map(([, why]) => why), 'other'].sort());
  });

  it('tells what went wrong, and not what Perl says of a container that is stopping', () => {
    const stderr =
      'Use of uninitialized value in subtraction (-) at /usr/share/perl5/PVE/LXC.pm line 310.\n' +
      'failed to read from command socket: Connection reset by peer\n' +
      'CT 101 not running\n';
    expect(failureWords(255, stderr).message).toBe('CT 101 not running');
  });

  it.each([
    'Argument "" isn\'t numeric in addition (+) at /usr/share/perl5/PVE/LXC.pm line 312.',
    'Use of uninitialized value $pid in numeric eq (==) at /usr/share/perl5/PVE/LXC.pm line 9.',
    'readline() on closed filehandle $fh at /usr/share/perl5/PVE/Tools.pm line 211, <$fh> line 3.',
    'Wide character in print at /usr/share/perl5/PVE/CLIHandler.pm line 80.',
  ])('%j is a warning, before and after what went wrong, and alone it is told', (warning) => {
    const told = (stderr: string) => failureWords(255, stderr).message;
    const died =
      'Can\'t call method "x" on an undefined value at /usr/share/perl5/PVE/LXC.pm line 9.';
    for (const failure of ['CT 101 not running', died]) {
      expect(told(`${warning}\n${failure}\n`)).toBe(failure);
      expect(complaintIn(`progress\n${failure}\n${warning}\n`)).toBe(failure);
    }
    expect(told(`${warning}\n`)).toBe(warning);
  });
});
