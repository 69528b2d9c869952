import { readConfiguration } from '../app/configuration.ts';
import { isAway, whyNotNow } from '../app/unfit.ts';
import type { LoadResult } from '../config/load.ts';
import { idMeant } from '../config/meant-guest.ts';
import { closest } from '../config/suggest.ts';
import { plainText } from '../core/plain-text.ts';
import type { Vmid } from '../core/units.ts';
import { createGuests } from '../node/local/pve/guests.ts';
import { configuredGuests } from '../node/local/qemu/machine-doors.ts';
import { ALL_MACHINES, LocalMachines } from '../node/local/qemu/machine-guests.ts';
import type { Arguments } from './arguments.ts';
import type { Command, CommandContext, Subject } from './command.ts';

/**
 * The name of a guest on the command line, turned into its id: exact, in any case. A word that
 * stands for several guests, or for a guest and a tier, is refused with what is meant; a group
 * comes first.
 */

/** @returns the arguments with an id, a group or a tier for the name, or a sentence */
export async function withGuest(
  given: Arguments,
  { name: command, subject }: Command,
  context: CommandContext,
): Promise<Arguments | string> {
  const { guestName: wanted, traceFile } = given;
  // A trace has names of its own, which are those of no node.
  if (wanted === undefined || traceFile !== undefined) return given;
  const loaded = readConfiguration(given, context);
  const notNow = await whyNotNow(loaded, context);
  if (notNow !== undefined) return notNow;
  if (loaded.ok && isAway(loaded.config, context)) return ONLY_IDS;
  const named = guestsByName(context);
  if (typeof named === 'string') return named;
  const others = othersOf(subject, loaded);
  const everyone = allWords(command, subject);
  const other = others?.find(wanted);
  // A group has no other name, and a container has its id.
  if (other !== undefined && others?.noun === 'group') return { ...given, ...other };
  const own = named.filter(({ name }) => isSame(name, wanted));
  const [first, second] = own;
  if (second !== undefined) {
    const ids = own.map(({ vmid }) => vmid).join(', ');
    return `${own.length} guests are called '${wanted}': ${ids}. Write the id of one`;
  }
  if (first !== undefined && other === undefined) return { ...given, vmid: first.vmid };
  if (other !== undefined && first === undefined) return { ...given, ...other };
  if (first === undefined) {
    // The daemon may still go by a configuration that had no problems.
    const mayBeGroup = others?.noun === 'group' && !loaded.ok;
    return mayBeGroup ? { ...given, group: wanted } : nobody(wanted, named, others, everyone);
  }
  const both = `'${wanted}' is guest ${first.vmid} and a tier`;
  const one = `For the guest: lxc-autoscale ${command} ${first.vmid}`;
  return `${both}. ${one}. For the tier: its name with TIER_ before it`;
}

/** What a command may be about besides guests. */
interface Others {
  readonly noun: 'group' | 'tier';
  readonly names: readonly string[];
  find(wanted: string): Partial<Arguments> | undefined;
}

/** undefined: it is about guests only. */
function othersOf(subject: Subject, loaded: LoadResult): Others | undefined {
  if (subject === 'container or group') {
    const names = loaded.ok ? loaded.config.groups.map(({ label }) => label) : [];
    return {
      noun: 'group',
      names,
      find: (wanted) => (names.includes(wanted.toLowerCase()) ? { group: wanted } : undefined),
    };
  }
  if (subject !== 'tier or container or none') return undefined;
  const names = loaded.ok ? loaded.config.tiers.map(({ name }) => name) : [];
  return {
    noun: 'tier',
    names: [...names, ...names.map(bareName)],
    find: (wanted) => {
      const tier = names.find((name) => isSame(name, wanted) || isSame(name, `TIER_${wanted}`));
      return tier === undefined ? undefined : { tier };
    },
  };
}

const bareName = (tier: string): string => tier.replace(/^TIER_/, '');

const ONLY_IDS = 'Guests are found by their names only on a node. Write the id of the guest';

interface Named {
  readonly vmid: Vmid;
  readonly name: string;
}

function guestsByName({ paths, clock }: CommandContext): readonly Named[] | string {
  const machines = new LocalMachines(paths, clock);
  machines.use(ALL_MACHINES);
  const listed = configuredGuests(createGuests(paths), machines);
  if (!listed.ok) return `The guests cannot be seen: ${listed.detail}`;
  return [...listed.value].flatMap(([vmid, config]) =>
    config.ok ? [{ vmid, name: config.value.name }] : [],
  );
}

const isSame = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();

/** How a command is said to be about all guests. */
function allWords(command: string, subject: Subject): string {
  if (subject === 'container or all') return `For all of them: lxc-autoscale ${command} --all`;
  return subject.endsWith(' or none')
    ? `For all of them: lxc-autoscale ${command}`
    : 'All of them: lxc-autoscale status';
}

function nobody(
  wanted: string,
  named: readonly Named[],
  others: Others | undefined,
  everyone: string,
): string {
  const what = others === undefined ? 'guest' : `guest or ${others.noun}`;
  if (isSame(wanted, 'all')) return `No ${what} is called '${wanted}'. ${everyone}`;
  const id = idMeant(wanted, named);
  if (id !== undefined) return `No ${what} is called '${wanted}'. Did you mean ${id}?`;
  const near = closest(wanted, [...named.map(({ name }) => name), ...(others?.names ?? [])]);
  const isOther = others?.names.some((name) => near !== undefined && isSame(name, near)) === true;
  const vmid = isOther ? undefined : named.find(({ name }) => name === near)?.vmid;
  const hint =
    near === undefined
      ? 'List them: lxc-autoscale status'
      : `Did you mean '${plainText(near, 64)}'${vmid === undefined ? '' : ` (${vmid})`}?`;
  return `No ${what} is called '${wanted}'. ${hint}`;
}
