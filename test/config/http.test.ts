import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';

const load = (yaml: string, env: Record<string, string> = {}) =>
  parseConfig(`DEFAULT:\n${yaml}`, 'f.yaml', env);

const problemsOf = (yaml: string, env: Record<string, string> = {}) => {
  const loaded = load(yaml, env);
  return loaded.ok ? [] : loaded.problems.map(({ line, key, message }) => [line, key, message]);
};

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const TOKEN = 'a-token-of-24-characters';
const TOKENS = `  http_tokens: [{name: me, token: ${TOKEN}, role: read}]\n`;

describe('http_tokens', () => {
  it('are known by their hashes alone', () => {
    const loaded = load(
      `  http_tokens:\n    - {name: me, token: '\${MINE}', role: Scale}\n` +
        `    - name: other\n      token_file: /etc/other.token\n      role: admin\n`,
      { MINE: TOKEN },
    );
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    expect(loaded.config.http.tokens).toEqual([
      { name: 'me', role: 'scale', secret: { kind: 'hash', sha256: sha256(TOKEN) } },
      { name: 'other', role: 'admin', secret: { kind: 'file', path: '/etc/other.token' } },
    ]);
    expect(JSON.stringify(loaded.config)).not.toContain(TOKEN);
    expect(loaded.secretAt).toBeUndefined();
  });

  it('that stand in the file are named as a secret in it', () => {
    expect(load(TOKENS)).toMatchObject({ ok: true, secretAt: { line: 2, key: 'http_tokens' } });
  });

  it.each([
    [`{token: ${TOKEN}, role: read}`, 'entry 1 has no name'],
    [`{name: 'a b', token: ${TOKEN}, role: read}`, 'entry 1 has a name with other characters'],
    [`{name: me, token: ${TOKEN}}`, 'entry 1 has no role that is known'],
    [`{name: me, token: ${TOKEN}, role: root}`, 'entry 1 has no role that is known'],
    ['{name: me, role: read}', 'entry 1 needs either token or token_file'],
    ['{name: me, token: short-secret, role: read}', 'entry 1 has a token with blanks, or'],
    ['{name: me, token_file: me.token, role: read}', 'entry 1 has a token_file that is not'],
    ['me', 'entry 1 is no mapping'],
    [`{name: me, tokn: ${TOKEN}, role: read}`, 'did you mean token'],
  ])('refuse %s', (entry, why) => {
    const problems = problemsOf(`  http_tokens:\n    - ${entry}\n`);
    expect(problems[0]).toEqual([3, expect.any(String), expect.stringContaining(why)]);
    expect(JSON.stringify(problems)).not.toMatch(/short-secret|a-token-of/);
  });

  it('have names of their own', () => {
    const one = `{name: me, token: ${TOKEN}, role: read}`;
    const two = `[${one}, ${one}]`;
    expect(problemsOf(`  http_tokens: ${two}\n`)[0]?.[2]).toContain(
      'entry 2 has the name of another',
    );
  });

  it('name the variable that is not set, and no more', () => {
    const yaml = `  http_tokens:\n    - {name: me, token: '$\{NONE}', role: read}\n`;
    expect(problemsOf(yaml)[0]).toEqual([
      3,
      'http_tokens[1].token',
      expect.stringContaining('NONE'),
    ]);
  });
});

describe('http_listen', () => {
  const AFAR = '  http_listen: 0.0.0.0:9732\n';

  it('needs nothing more on loopback: the link of root logs in', () => {
    expect(problemsOf('  http_listen: 127.0.0.1:9732\n')).toEqual([]);
  });

  it('beyond loopback needs tokens, and TLS or a proxy', () => {
    const problems = problemsOf(AFAR);
    expect(problems).toEqual([
      [2, 'http_listen', expect.stringContaining('http_tokens or http_proxmox_login too')],
      [2, 'http_listen', expect.stringContaining('http_behind_proxy: True')],
    ]);
    expect(problemsOf(AFAR + TOKENS)).toHaveLength(1);
    expect(problemsOf(`${AFAR}${TOKENS}  http_behind_proxy: True\n`)).toEqual([]);
    const tls = '  http_tls_cert: /etc/c.pem\n  http_tls_key: /etc/k.pem\n';
    expect(problemsOf(AFAR + TOKENS + tls)).toEqual([]);
  });

  it('has certificate and key, or neither', () => {
    const cert = '  http_listen: 127.0.0.1:1\n  http_tls_cert: /etc/c.pem\n';
    expect(problemsOf(cert)).toEqual([
      [3, 'http_tls_cert', 'needs http_tls_key too; set it, or leave http_tls_cert empty'],
    ]);
  });

  it('is not the address of metrics_listen', () => {
    const both = '  http_listen: 127.0.0.1:9732\n  metrics_listen: localhost:9732\n';
    expect(problemsOf(both)[0]?.[1]).toBe('http_listen');
  });
});

it.each([
  ['http_proxmox_login', 'True'],
  ['http_behind_proxy', 'True'],
  ['http_hosts', '[pve.lan]'],
  ['http_tokens', `[{name: me, token: ${TOKEN}, role: read}]`],
])('%s without http_listen is worth a remark', (key, value) => {
  const loaded = load(`  ${key}: ${value}\n`);
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  const about = loaded.notes.filter((note) => note.key === key).map(({ message }) => message);
  expect(about).toEqual(['has no effect without http_listen']);
  expect(load(`  http_listen: 127.0.0.1:1\n  ${key}: ${value}\n`)).toMatchObject({ notes: [] });
});

it('http_hosts are names', () => {
  expect(load('  http_hosts: [PVE.example.org, pve.lan]\n')).toMatchObject({
    config: { http: { hosts: ['pve.example.org', 'pve.lan'] } },
  });
  expect(problemsOf("  http_hosts: ['https://pve.lan/']\n")).toHaveLength(1);
});
