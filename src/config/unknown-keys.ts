import type { AllKeys, SectionKeys } from './keys.ts';
import { meantBy } from './meant-keys.ts';
import { NEW_NAMES, oldKey } from './old-keys.ts';
import { printable, printableKey } from './printable.ts';
import { closest } from './suggest.ts';

/** What to say about keys and sections that are not known: where they belong, what was meant. */

const GROUP_PREFIX = 'HORIZONTAL_SCALING_GROUP_';
const TIER_PREFIX = 'TIER_';

export type SectionKind = 'default' | 'tier' | 'group' | 'node';

/** Which kind of section a name stands for; undefined for none. */
export function sectionKind(name: string): SectionKind | undefined {
  if (name === 'DEFAULT') return 'default';
  if (name === 'NODES') return 'node';
  if (!/^[\p{L}\p{N}_.\- ]{1,80}$/u.test(name)) return undefined;
  if (name.startsWith(GROUP_PREFIX) && name.length > GROUP_PREFIX.length) return 'group';
  return name.startsWith(TIER_PREFIX) && name.length > TIER_PREFIX.length ? 'tier' : undefined;
}

/** What keys of the Python tool's files begin with that have nothing to answer them here. */
const ELSEWHERE = /^(?:smtp|ssh|boost|storage|proxmox|uptime_kuma)_/;

export interface UnknownName {
  /** The key as it may be printed. */
  readonly name: string;
  readonly message: string;
}

/** What is meant for all that a program may change, and is a mode here. To drop it would act. */
const ONLY_OBSERVE = /^(?:dry_?run|observe(?:_only|_mode)?|read_?only|monitor(?:_only)?)$/;

/** About a key of which no more can be said. */
export const plainlyUnknown = (key: string): UnknownName => ({
  name: printableKey(key),
  message: 'unknown key; remove the line, or put # before it',
});

/** About a key that the section does not know. */
export function unknownKey(key: string, keys: SectionKeys, all: AllKeys): UnknownName {
  const name = printableKey(key);
  const say = (message: string): UnknownName => ({ name, message });
  const owners = [
    ...(Object.hasOwn(all.default, key) ? ['DEFAULT'] : []),
    ...(Object.hasOwn(all.tier, key) ? [`${TIER_PREFIX}* sections`] : []),
    ...(Object.hasOwn(all.group, key) ? [`${GROUP_PREFIX}* sections`] : []),
    ...(Object.hasOwn(all.node, key) ? ['a node of NODES'] : []),
  ];
  if (owners.length > 0) {
    const places = owners.join(' and ');
    return say(`belongs in ${places}, not in this section; move it or remove it`);
  }
  const isSection = [TIER_PREFIX, GROUP_PREFIX].some(
    (prefix) => key.startsWith(prefix) && key !== prefix,
  );
  if (isSection) return say('is a section: write it in the first column, not below another one');
  const plain = key.toLowerCase().replaceAll('-', '_');
  if (Object.hasOwn(keys, 'scaling_mode') && ONLY_OBSERVE.test(plain)) {
    return say('is no key; write `scaling_mode: observe` if nothing is to be changed');
  }
  const known = Object.keys(keys);
  const renamed = Object.hasOwn(NEW_NAMES, key) ? NEW_NAMES[key] : undefined;
  const isRenamed = renamed !== undefined && known.includes(renamed);
  // `ssh_password` is near to `smtp_password`, and nobody means that.
  const isOld = !isRenamed && oldKey(key, '') !== undefined;
  const meant = isRenamed ? renamed : isOld ? undefined : closest(key, known);
  if (meant !== undefined) return say(`unknown key; did you mean ${meant}?`);
  if (isOld || ELSEWHERE.test(key)) {
    const how = 'remove the line, or see lxc-autoscale migrate-config';
    return say(`is a key of the Python tool that has no effect here; ${how}`);
  }
  const advice = meantBy(key, known);
  return advice === undefined ? plainlyUnknown(key) : say(advice);
}

/** About a name at the left margin that is no section. */
export function unknownSection(key: string, all: AllKeys): UnknownName {
  const name = printableKey(key);
  const say = (message: string): UnknownName => ({ name, message });
  if (Object.hasOwn(all.default, key)) {
    return say('is a key, not a section; put it below `DEFAULT:` and indent it');
  }
  for (const prefix of [TIER_PREFIX, GROUP_PREFIX]) {
    if (!key.startsWith(prefix) || key === prefix) continue;
    const allowed = `after ${prefix} letters, digits, blanks, _ . and -, 80 at most in all`;
    return say(`is no name for a section; allowed: ${allowed}`);
  }
  const meant = meantSection(key);
  const allowed = `allowed: DEFAULT, NODES, ${TIER_PREFIX}name and ${GROUP_PREFIX}name`;
  if (meant === undefined) {
    const isFit = sectionKind(`${TIER_PREFIX}${key}`) === 'tier';
    const tier = isFit
      ? `for a tier write \`${TIER_PREFIX}${key}:\`, with lxc_containers below; `
      : '';
    return say(`unknown section; ${tier}${allowed}`);
  }
  return say(`unknown section; did you mean ${printable(meant)}? ${allowed}`);
}

function meantSection(key: string): string | undefined {
  const last = key.lastIndexOf('_');
  const [head, tail] = [key.slice(0, Math.max(0, last)), key.slice(last + 1)];
  if (tail !== '' && closest(head, ['HORIZONTAL_SCALING_GROUP']) !== undefined) {
    return GROUP_PREFIX + tail;
  }
  if (/^(?:global|general|settings|config|common|main)$/i.test(key)) return 'DEFAULT';
  const whole = closest(key, ['DEFAULT', 'NODES']);
  if (whole !== undefined) return whole;
  const split = key.search(/[_-]/);
  const [front, rest] = split < 0 ? [key, '1'] : [key.slice(0, split), key.slice(split + 1)];
  if (closest(front, ['TIER']) !== undefined || /^tiers$/i.test(front)) {
    return TIER_PREFIX + (rest === '' ? '1' : rest);
  }
  return closest(key, ['HORIZONTAL_SCALING_GROUP']) === undefined ? undefined : `${GROUP_PREFIX}1`;
}
