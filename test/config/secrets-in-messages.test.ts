import { describe, expect, it } from 'vitest';
import { KEYS } from '../../src/config/keys.ts';
import { parseConfig } from '../../src/config/load.ts';
import { quoted } from '../../src/config/printable.ts';

/** Whatever key a secret is put below, no message tells it. */

const HEADS = { default: 'DEFAULT:', tier: 'TIER_a:', group: 'HORIZONTAL_SCALING_GROUP_a:' };
const NODE = 'NODES:\n  far:\n    host: pve2\n  other:';

/** Each with what none may see. */
const WRITTEN = [
  ['https://admin:Hush1@host/x', 'Hush1'],
  ['udp://admin:Hush1@host', 'Hush1'],
  ['root@pam:Hush1', 'Hush1'],
  ['PVEAPIToken=root@pam!auto=Hush1', 'Hush1'],
  ['root@pam!auto=Hush1', 'Hush1'],
  ['"Authorization: Bearer Hush1"', 'Hush1'],
  ['bearer Hush1', 'Hush1'],
  [`'{"token": "Hush1", {{x}}'`, 'Hush1'],
  ['http://host/x y?key=Hush1', 'Hush1'],
  ['11223344-5566-7788-9900-aabbccddeeff', 'ccddeeff'],
  ['00112233445566778899aabbccddeeff', 'ccddeeff'],
  ['Ab1Cd2Ef3Gh4Ij5Kl6', 'Ij5'],
] as const;

/** Below a key that is known for a secret nothing may be seen. */
const OF_SECRETS = [
  ['$Hush1', 'Hush1'],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: as it stands in a file.
  ['pa${Hush1}word', 'Hush1'],
  ['Hush1 with a blank', 'Hush1'],
  ['[Hush1]', 'Hush1'],
  ['{Hush1: Hush1}', 'Hush1: '],
] as const;

const keys = Object.entries(KEYS).flatMap(([kind, section]) =>
  Object.entries(section).map(([key, { info }]) => ({
    kind,
    key,
    isSecret: info.secret !== undefined,
  })),
);

function said(kind: string, key: string, value: string): string {
  const head = kind === 'node' ? NODE : HEADS[kind as keyof typeof HEADS];
  const indent = kind === 'node' ? '    ' : '  ';
  const loaded = parseConfig(`${head}\n${indent}${key}: ${value}\n`, 'f.yaml', {});
  return JSON.stringify(loaded.ok ? loaded.notes : loaded.problems);
}

describe.each(keys)('$kind: $key', ({ kind, key, isSecret }) => {
  it('tells no secret', () => {
    for (const [value, hush] of isSecret ? [...WRITTEN, ...OF_SECRETS] : WRITTEN) {
      expect(said(kind, key, value), value).not.toContain(hush);
    }
  });
});

describe('quoted', () => {
  it.each([
    '0 22 * * 1-5',
    '127.0.0.1:9732',
    'udp://log.lan:514',
    'tcp://[fd00::5]:514',
    'root@pve.lan:22',
    'root@pam',
    '/etc/lxc_autoscale/me.token',
    'PVE <pve@lan>',
    'tag:web',
    'no-hyphen.Example.org',
    'configured',
  ])('shows %s', (text) => {
    expect(quoted(text)).toBe(`'${text}'`);
  });
});

describe('a variable in the notation of another program', () => {
  it.each([
    ['ntfy_token', '$NTFY'],
    ['webhook_token', '$(WEBHOOK_TOKEN)'],
    ['gotify_token', '"{{gotify_token}}"'],
  ])('below %s: %s is remarked upon, and not shown', (key, value) => {
    const notes = said('default', key, value);
    expect(notes).toContain('is taken as it stands; if a variable is meant, write $');
    expect(notes).not.toContain(value.slice(1, -1));
  });
});
