import { KEYS } from '../../src/config/keys.ts';
import { commentLines, yamlLines } from '../../src/config/yaml-text.ts';

/** The sample file gets each new key of `DEFAULT` with what its entry says; the rest is kept. */

export function withNewKeys(sample: string): string {
  const lines = sample.split('\n');
  let place = lines.indexOf('DEFAULT:');
  for (const [key, { info, usual }] of Object.entries(KEYS.default)) {
    const known = lines.findIndex((line) => line.startsWith(`  ${key}:`));
    if (known >= 0) {
      place = known;
      continue;
    }
    const added = [
      ...commentLines(`${info.does}. Allowed: ${info.allowed}.`, '  '),
      ...yamlLines(key, written(usual), '  '),
    ];
    lines.splice(place + 1, 0, ...added);
    place += added.length;
  }
  return lines.join('\n');
}

function written(value: unknown): string {
  if (value === undefined) return '';
  if (value === '') return "''";
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number' || typeof value === 'string') return String(value);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return '[]';
  const parts = Object.entries(value).map(([key, part]) => `${key}: ${part}`);
  return `{${parts.join(', ')}}`;
}
