import { readConfiguration } from '../app/configuration.ts';
import { whyNotNow } from '../app/unfit.ts';
import { closest } from '../config/suggest.ts';
import { plainText } from '../core/plain-text.ts';
import type { Vmid } from '../core/units.ts';
import { createGuests } from '../node/local/pve/guests.ts';
import type { Arguments } from './arguments.ts';
import type { Command, CommandContext } from './command.ts';

/**
 * The name of a guest on the command line, turned into its id: exact, in any case. A word that
 * stands for several guests, or for a guest and a group, is refused with the ids that are meant.
 */

/** @returns the arguments with an id or a group in place of the name, or a sentence */
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
  const named = guestsByName(context);
  if (typeof named === 'string') return named;
  const own = named.filter(({ name }) => isSame(name, wanted));
  const [first, second] = own;
  if (second !== undefined) {
    const ids = own.map(({ vmid }) => vmid).join(', ');
    return `${own.length} containers are called '${wanted}': ${ids}. Write the id of one`;
  }
  const mayBeGroup = subject === 'container or group';
  const groups = loaded.ok && mayBeGroup ? loaded.config.groups.map(({ label }) => label) : [];
  const isGroup = groups.includes(wanted.toLowerCase());
  if (first === undefined) {
    if (isGroup || (mayBeGroup && !loaded.ok)) return { ...given, group: wanted };
    return nobody(wanted, named, mayBeGroup ? groups : undefined);
  }
  if (!isGroup) return { ...given, vmid: first.vmid };
  return (
    `'${wanted}' is container ${first.vmid} and a group. For the container: lxc-autoscale ` +
    `${command} ${first.vmid}; the state of the group is at the end of: lxc-autoscale status`
  );
}

interface Named {
  readonly vmid: Vmid;
  readonly name: string;
}

function guestsByName({ paths }: CommandContext): readonly Named[] | string {
  const listed = createGuests(paths).list();
  if (!listed.ok) return `The containers cannot be seen: ${listed.detail}`;
  return [...listed.value].flatMap(([vmid, config]) =>
    config.ok ? [{ vmid, name: config.value.name }] : [],
  );
}

const isSame = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();

/** @param groups undefined where no group may be named */
function nobody(
  wanted: string,
  named: readonly Named[],
  groups: readonly string[] | undefined,
): string {
  const what = groups === undefined ? 'container' : 'container or group';
  const near = closest(wanted, [...named.map(({ name }) => name), ...(groups ?? [])]);
  const vmid = named.find(({ name }) => name === near)?.vmid;
  const hint =
    near === undefined
      ? 'List them: lxc-autoscale status'
      : `Did you mean '${plainText(near, 64)}'${vmid === undefined ? '' : ` (${vmid})`}?`;
  return `No ${what} is called '${wanted}'. ${hint}`;
}
