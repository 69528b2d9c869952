import { createHash } from 'node:crypto';

/** The text of a container's configuration file: taken apart, and put together as Proxmox does. */

export interface Section {
  /** Lines of the description without their `#`, still percent-encoded. */
  description: string[];
  readonly values: Map<string, string>;
  /** `lxc.*` lines, which may repeat, in their order. */
  readonly raw: Array<readonly [key: string, value: string]>;
}

export interface GuestConf {
  readonly main: Section;
  /** Changes that wait for the next start. */
  readonly pending: Section;
  readonly snapshots: Map<string, Section>;
  /** What Proxmox prints on stderr while it reads this file. */
  readonly warnings: readonly string[];
}

export const newSection = (): Section => ({ description: [], values: new Map(), raw: [] });

export const copySection = (section: Section): Section => ({
  description: [...section.description],
  values: new Map(section.values),
  raw: [...section.raw],
});

interface OptionRule {
  readonly type: 'integer' | 'number' | 'boolean' | 'string';
  readonly min?: number;
  readonly max?: number;
  readonly maxLength?: number;
}

export const notes: OptionRule = { type: 'string', maxLength: 8192 };
const text: OptionRule = { type: 'string' };
const flag: OptionRule = { type: 'boolean' };

/** Settings of a container, with the bounds that `pct` checks. */
const SETTINGS: Readonly<Record<string, OptionRule>> = {
  arch: text,
  cmode: text,
  console: flag,
  cores: { type: 'integer', min: 1, max: 8192 },
  cpulimit: { type: 'number', min: 0, max: 8192 },
  cpuunits: { type: 'integer', min: 0, max: 500_000 },
  debug: flag,
  description: notes,
  features: text,
  hookscript: text,
  hostname: text,
  lock: text,
  memory: { type: 'integer', min: 16 },
  nameserver: text,
  onboot: flag,
  ostype: text,
  parent: text,
  protection: flag,
  rootfs: text,
  searchdomain: text,
  snapstate: text,
  snaptime: { type: 'integer', min: 0 },
  startup: text,
  swap: { type: 'integer', min: 0 },
  tags: text,
  template: flag,
  timezone: text,
  tty: { type: 'integer', min: 0, max: 6 },
  unprivileged: flag,
};

export function settingRule(key: string): OptionRule | undefined {
  if (Object.hasOwn(SETTINGS, key)) return SETTINGS[key];
  return /^(?:dev|mp|net|unused)\d+$/.test(key) ? text : undefined;
}

/** The sentence with which Proxmox refuses a value, or undefined when it is fine. */
export function valueProblem(rule: OptionRule, value: string): string | undefined {
  if (rule.type === 'string') {
    const { maxLength = Number.POSITIVE_INFINITY } = rule;
    return [...value].length > maxLength
      ? `value may only be ${maxLength} characters long`
      : undefined;
  }
  if (rule.type === 'boolean') {
    if (/^(?:0|1|on|off|yes|no|true|false)$/i.test(value)) return undefined;
    return `type check ('boolean') failed - got '${value}'`;
  }
  const shape = rule.type === 'integer' ? /^-?\d+$/ : /^-?(?:\d+\.?\d*|\.\d+)$/;
  if (!shape.test(value)) return `type check ('${rule.type}') failed - got '${value}'`;
  const number = Number(value);
  if (rule.min !== undefined && number < rule.min) {
    return `value must have a minimum value of ${rule.min}`;
  }
  if (rule.max !== undefined && number > rule.max) {
    return `value must have a maximum value of ${rule.max}`;
  }
  return undefined;
}

const PENDING = 'pve:pending';

/** Reads a file as Proxmox does: unknown keys stay, lines that are none are dropped with a word. */
export function parseConf(vmid: number, content: string): GuestConf {
  const main = newSection();
  const pending = newSection();
  const snapshots = new Map<string, Section>();
  const warnings: string[] = [];
  let section = main;
  for (const line of content.split('\n')) {
    if (/^\s*$/.test(line)) continue;
    const header = /^\[([^\]]+)\]\s*$/.exec(line)?.[1];
    if (header !== undefined) {
      section = header.toLowerCase() === PENDING ? pending : newSection();
      if (section !== pending) snapshots.set(header, section);
      continue;
    }
    if (line.startsWith('#')) {
      section.description.push(line.slice(1).trimEnd());
      continue;
    }
    const [, key, value] = /^([a-z][a-zA-Z0-9_.-]*)\s*[:=]\s*(.*?)\s*$/.exec(line) ?? [];
    if (key === undefined || value === undefined) {
      warnings.push(`vm ${vmid} - unable to parse config: ${line}`);
    } else if (key.startsWith('lxc.')) section.raw.push([key, value]);
    else {
      const rule = settingRule(key);
      const problem =
        rule === undefined && section === pending && key === 'delete'
          ? undefined
          : rule === undefined
            ? `unknown setting '${key}'`
            : valueProblem(rule, value);
      if (problem !== undefined) {
        warnings.push(`vm ${vmid} - unable to parse value of '${key}' - ${problem}`);
      }
      section.values.set(key, value);
    }
  }
  return { main, pending, snapshots, warnings };
}

const sortedKeys = (values: ReadonlyMap<string, string>): string[] => [...values.keys()].sort();

function sectionText(section: Section): string {
  const lines = [
    ...section.description.map((line) => `#${line}`),
    ...sortedKeys(section.values).map((key) => `${key}: ${section.values.get(key) ?? ''}`),
    ...section.raw.map(([key, value]) => `${key}: ${value}`),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

/** Puts a file together: description first, keys sorted, `lxc.*` lines last, then the sections. */
export function confText(conf: GuestConf): string {
  let content = sectionText(conf.main);
  if (conf.pending.values.size > 0) content += `\n[${PENDING}]\n${sectionText(conf.pending)}`;
  for (const name of [...conf.snapshots.keys()].sort()) {
    const section = conf.snapshots.get(name);
    if (section !== undefined) content += `\n[${name}]\n${sectionText(section)}`;
  }
  return content;
}

/** What `--digest` is compared with: SHA-1 of the file as it stands. */
export const digestOf = (content: string): string =>
  createHash('sha1').update(content).digest('hex');

/**
 * Encodes a description as Proxmox stores it. Without a UTF-8 locale each byte beyond ASCII is lost
 * and becomes U+FFFD (recorded with LC_ALL=C).
 */
export function encodeText(value: string, utf8: boolean): string {
  let encoded = '';
  for (const byte of Buffer.from(value, 'utf8')) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25 && byte !== 0x3a;
    if (plain) encoded += String.fromCharCode(byte);
    else if (byte > 0x7e && !utf8) encoded += '%EF%BF%BD';
    else encoded += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

export function decodeText(encoded: string): string {
  const raw = Buffer.from(encoded, 'utf8').toString('latin1');
  const bytes = raw.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** Description lines of a text, one encoded line each. */
export function descriptionLines(value: string, utf8: boolean): string[] {
  const lines = value.replace(/\n+$/, '').split('\n');
  return value === '' ? [] : lines.map((line) => encodeText(line, utf8));
}

/** A whole number of a section, or what Proxmox takes where it is absent or no number. */
export function numberIn(section: Section, key: string): number | undefined {
  const value = section.values.get(key);
  const number = value === undefined ? Number.NaN : Number(value);
  return Number.isFinite(number) ? number : undefined;
}

export interface EffectiveLimits {
  readonly cores: number | undefined;
  readonly cpuLimit: number | undefined;
  readonly cpuUnits: number;
  readonly memoryMib: number;
  readonly swapMib: number;
}

/** The limits that a section asks for, with Proxmox's defaults for what is not there. */
export function effectiveLimits(section: Section): EffectiveLimits {
  const cpuLimit = numberIn(section, 'cpulimit');
  return {
    cores: numberIn(section, 'cores'),
    cpuLimit: cpuLimit === undefined || cpuLimit <= 0 ? undefined : cpuLimit,
    cpuUnits: Math.min(10_000, Math.max(1, numberIn(section, 'cpuunits') ?? 100)),
    memoryMib: numberIn(section, 'memory') ?? 512,
    swapMib: numberIn(section, 'swap') ?? 512,
  };
}
