import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { migrate } from '../../src/config/migrate.ts';

/** Forms of other tools' files, and slips of ours: none becomes a file that scales everything. */

interface Foreign {
  readonly name: string;
  readonly text: string;
  /** How the message begins, after the line where it has one. */
  readonly message: string;
}

const TABLE: readonly Foreign[] = readFileSync(
  new URL('foreign-files.txt', import.meta.url),
  'utf8',
)
  .split(/^=== /m)
  .slice(1)
  .map((part) => {
    const [file = '', message = ''] = part.split('>>>\n');
    const end = file.indexOf('\n');
    return { name: file.slice(0, end), text: file.slice(end + 1), message: message.trim() };
  });

describe('what is refused, with nothing written', () => {
  it.each(TABLE)('$name', ({ text, message }) => {
    const result = migrate(text, 'old.yaml', {});
    if (result.ok) throw new Error(`migrated:\n${result.text}`);
    const line = result.line === undefined ? '' : `${result.line}: `;
    expect(`${line}${result.message}`.slice(0, message.length)).toBe(message);
    expect(result.message).not.toContain('hunter2');
    expect(result.message).toMatch(/lxc-autoscale configure|migrate again/);
  });
});

describe('what is taken all the same', () => {
  it.each([
    ['a switch that puts the host out of use', 'use_remote_proxmox: false\n  proxmox_host: pve2'],
    ['a backend that does', 'backend: cli\n  proxmox_api: {host: pve2}'],
    ['an API that is not used', 'use_proxmox_api: false\n  proxmox_api_host: pve2'],
    ['this host by its loop', 'proxmox_api_host: 127.0.0.1'],
    ['no host at all', "proxmox_host: ''"],
    ['numbers that are no ids', 'container_retries: 5\n  timeout_extended: 300'],
    ['a mail server', 'smtp_host: mail.example.org'],
  ])('%s', (_what, keys) => {
    const result = migrate(`DEFAULT:\n  min_cores: 1\n  ${keys}\n`, 'old.yaml', {});
    expect(result).toMatchObject({ ok: true, text: expect.stringMatching(/^ {2}min_cores: 1/m) });
  });
});

describe('a list of containers that is lost in part', () => {
  const OBSERVE = /^DEFAULT:[\s\S]*^ {2}scaling_mode: observe$/m;
  const text = (keys: string) => {
    const result = migrate(`DEFAULT:\n  min_cores: 1\n${keys}\n`, 'old.yaml', {});
    if (!result.ok) throw new Error(result.message);
    return result.text;
  };

  it.each([
    ['of those left alone', '  ignore_lxc: [101, "pve1:102"]'],
    ['of those left alone, whole', '  ignore_lxc: "?/"'],
    ['of a tier', 'TIER_a:\n  lxc_containers: [101, "web_1"]'],
    ['of a tier, whole', 'TIER_a:\n  lxc_containers: [{id: 101}]'],
  ])('%s has nothing changed', (_what, keys) => {
    expect(text(keys)).toMatch(OBSERVE);
  });

  it('of a group makes no members', () => {
    const group = 'HORIZONTAL_SCALING_GROUP_1:\n  base_snapshot_name: 101\n';
    const made = text(`${group}  lxc_containers: [101, "pve1:102"]`);
    expect(made).toMatch(/^# HORIZONTAL_SCALING_GROUP_1:$/m);
  });

  it('is none where a number was left out that no container has', () => {
    expect(text('  ignore_lxc: [101, 1]')).not.toMatch(OBSERVE);
  });
});
