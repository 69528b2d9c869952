import { existsSync } from 'node:fs';
import { join } from 'node:path/posix';
import { editMode, type Mode, OWN_TIERS, type Target } from '../config/edit-mode.ts';
import { type LoadResult, parseConfig } from '../config/load.ts';
import type { Config } from '../config/model.ts';
import { type ConfigOnNode, onNode } from '../config/on-node.ts';
import { manage } from '../config/resolve.ts';
import { secretsOf } from '../config/secrets-of.ts';
import { OBSERVE_TAG } from '../config/tags.ts';
import { lineDiff } from '../core/line-diff.ts';
import type { GuestConfig } from '../core/observation.ts';
import { plainText } from '../core/plain-text.ts';
import type { Management } from '../core/policy.ts';
import { masking } from '../core/secrets.ts';
import type { Vmid } from '../core/units.ts';
import { createGuests } from '../node/local/pve/guests.ts';
import { createTimestamp } from '../os/timestamp.ts';
import { type Written, writeConfiguration } from '../store/own-config.ts';
import {
  type ConfigurationChoice,
  type CountingFile,
  configurationText,
  readConfiguration,
  readVariables,
} from './configuration.ts';
import type { ProcessContext } from './context.ts';
import type { NodeLoop } from './node-loop.ts';

/** Observe mode, switched on or off in the text of the configuration; the result is checked. */

export type ModeSwitch =
  /** The configuration has problems, or cannot be read: `problems` is empty then. */
  | { readonly kind: 'broken'; readonly problems: LoadResult & { readonly ok: false } }
  | { readonly kind: 'unreadable' }
  /** A sentence without its full stop. */
  | { readonly kind: 'refused'; readonly why: string }
  | { readonly kind: 'already'; readonly config: Config }
  | {
      readonly kind: 'edited';
      readonly text: string;
      readonly config: Config;
      /** What is different, without secrets. */
      readonly lines: readonly string[];
    };

export interface SwitchedFile {
  readonly file: CountingFile;
  /** Sentences on whom it is about besides this node. */
  readonly besides: readonly string[];
}

const OTHERS_FOLLOW =
  'All nodes of the cluster share this file: the others follow at their next look, and what ' +
  'would change there is not counted here.';

/** Writes nothing. */
export function modeSwitch(
  mode: Mode,
  target: Target,
  given: ConfigurationChoice,
  context: ProcessContext,
): ModeSwitch & SwitchedFile {
  const file = configurationText(given, context);
  const about = { file, besides: file.isShared ? [OTHERS_FOLLOW] : [] };
  const loaded = readConfiguration(given, context);
  if (!loaded.ok) return { ...about, kind: 'broken', problems: loaded };
  if (!file.ok) return { ...about, kind: 'unreadable' };
  return { ...about, ...edited(file, loaded.config, mode, target, context) };
}

/** As `lineDiff` has a line that stays: the name of a section, and nothing else. */
const SECTION_HEAD = /^ {2}[\w-]+:$/;

function edited(
  { text, path, isShared }: { text: string; path: string; isShared: boolean },
  config: Config,
  mode: Mode,
  target: Target,
  context: ProcessContext,
): ModeSwitch {
  const refuse = (why: string): ModeSwitch => ({ kind: 'refused', why: plainText(why) });
  const why = target.kind === 'guest' ? whyNotAlone(config, target.vmid, mode, context) : undefined;
  if (why !== undefined) return refuse(why);
  if (isSo(config, target, mode, context)) return { kind: 'already', config };
  const result = editMode(text, target, mode);
  if (!result.ok) return refuse(result.message);
  const variables = readVariables(context, isShared);
  const env = variables.ok ? variables.env : context.env;
  const checked = parseConfig(result.text, path, env);
  if (!checked.ok || !isSo(checked.config, target, mode, context)) {
    return refuse('the line would not take effect; edit scaling_mode in the file by hand');
  }
  const mask = masking(secretsOf(config));
  // Another line beside them may have a secret that the configuration keeps in another form.
  const changed = lineDiff(text, result.text).filter(
    (line) => !line.startsWith('  ') || SECTION_HEAD.test(line),
  );
  const lines = changed.map((line) => plainText(mask(line), 200));
  return { kind: 'edited', text: result.text, config: checked.config, lines };
}

/** Another tier's settings would be lost in a tier of its own. */
function whyNotAlone(
  config: Config,
  vmid: Vmid,
  mode: Mode,
  { paths }: ProcessContext,
): string | undefined {
  const guest = createGuests(paths).read(vmid);
  if (!guest.ok && existsSync(join(paths.vmDirectory(), `${vmid}.conf`))) {
    const remedy = 'name it below `guests` in a tier, and set scaling_mode there';
    return `${vmid} is a virtual machine, and this command knows containers only; ${remedy}`;
  }
  if (!guest.ok) return `container ${vmid} cannot be read: ${guest.detail}`;
  const management = manage(onNode(config, paths.nodeName()), guest.value.config);
  if (management.kind === 'ignored') return `container ${vmid} is ignored: ${management.because}`;
  if (mode === 'act' && isTagged(guest.value.config)) {
    return `container ${vmid} is observed by its tag ${OBSERVE_TAG}; ${REMOVE_TAG}`;
  }
  const { source } = management.policy;
  if (source === 'DEFAULT' || Object.values(OWN_TIERS).includes(source)) return undefined;
  return (
    `container ${vmid} is in ${source}, whose settings it would lose. Switch the tier, or give ` +
    'the container a tier of its own'
  );
}

/** The guests of a node, and the configuration as it is there. */
export interface GuestsOn {
  readonly config: ConfigOnNode;
  readonly guests: readonly GuestConfig[];
}

/** What a switch comes to. */
export interface AfterSwitch {
  /** Of the target: who is changed then, by the name of the node. */
  readonly active: ReadonlyMap<string, ReadonlySet<Vmid>>;
  /** As `exceptions` has them. */
  readonly exceptions: readonly string[];
}

/**
 * By the last cycles.
 *
 * @param config as it is after the switch
 */
export function afterSwitch(
  config: Config,
  mode: Mode,
  target: Target,
  loops: readonly Pick<NodeLoop, 'open' | 'view'>[],
): AfterSwitch {
  const nodes = loops.map(({ open, view }): GuestsOn => {
    const seen = view?.observed.containers ?? [];
    const guests = seen.flatMap((one) => (one.config.ok ? [one.config.value] : []));
    return { config: onNode(config, open.name), guests };
  });
  const active = nodes.map(({ config: here, guests }) => {
    const changed = guests.filter((guest) => {
      const management = manage(here, guest);
      return isMeant(target, management) && management.mode === 'act';
    });
    return [here.here, new Set(idsOf(changed))] as const;
  });
  return { active: new Map(active), exceptions: exceptions(config, mode, target, nodes) };
}

const isMeant = (target: Target, management: Management): management is Managed =>
  management.kind === 'managed' &&
  (target.kind !== 'section' || management.policy.source === target.name);

type Managed = Management & { readonly kind: 'managed' };

/**
 * Sentences on what of the target is not changed, although it is active.
 *
 * @param config as it is after the switch
 */
export function exceptions(
  config: Config,
  mode: Mode,
  target: Target,
  nodes: readonly GuestsOn[],
): readonly string[] {
  if (mode === 'observe' || target.kind === 'guest') return [];
  const isAll = target.kind === 'all';
  const tagged = nodes.flatMap(({ config: here, guests }) =>
    guests.filter((guest) => {
      const management = manage(here, guest);
      if (!isMeant(target, management)) return false;
      return isTagged(guest) && management.policy.scaling !== 'observe';
    }),
  );
  const tiers = isAll ? config.tiers.filter(({ policy }) => policy.scaling === 'observe') : [];
  const left = nodes.flatMap(({ config: here, guests }) =>
    isAll ? guests.filter((guest) => isLeftOut(here, guest)) : [],
  );
  const [tier] = tiers;
  return [
    ...(tagged.length === 0
      ? []
      : [observedBy(`the tag ${OBSERVE_TAG}`, idsOf(tagged), REMOVE_TAG)]),
    ...(tier === undefined
      ? []
      : [
          observedBy(
            'a line of their own',
            tiers.map(({ name }) => name),
            `activate ${tier.name}`,
          ),
        ]),
    ...(left.length === 0 ? [] : [`${LEFT_OUT}: ${idsOf(left).join(', ')}.`]),
  ];
}

const observedBy = (what: string, which: readonly (Vmid | string)[], remedy: string): string =>
  `Observed all the same, by ${what}: ${which.join(', ')}. To have one changed, ${remedy}.`;

const LEFT_OUT = 'Virtual machines are skipped: manage_vms is not set and no tier lists them';

const idsOf = (guests: readonly GuestConfig[]): readonly Vmid[] => guests.map(({ vmid }) => vmid);

/** Whether it is a virtual machine that nobody has asked for. */
const isLeftOut = (config: ConfigOnNode, guest: GuestConfig): boolean =>
  manage(config, guest).kind === 'ignored' &&
  manage({ ...config, manageVms: true }, guest).kind === 'managed';

const REMOVE_TAG = 'remove the tag in Proxmox VE';

const isTagged = ({ tags }: GuestConfig): boolean =>
  tags.some((tag) => tag.toLowerCase() === OBSERVE_TAG);

/** Whether the target is in that mode by the configuration; a tag may still say otherwise. */
function isSo(config: Config, target: Target, mode: Mode, { paths }: ProcessContext): boolean {
  const isMode = (scaling: string): boolean => (scaling === 'observe') === (mode === 'observe');
  const { defaults, tiers } = config;
  if (target.kind === 'guest') {
    const guest = createGuests(paths).read(target.vmid);
    const here = onNode(config, paths.nodeName());
    const found = guest.ok ? manage(here, guest.value.config) : undefined;
    return found?.kind === 'managed' && isMode(found.policy.scaling);
  }
  if (target.kind === 'section') {
    const section = tiers.find(({ name }) => name === target.name);
    return section !== undefined && isMode(section.policy.scaling);
  }
  const all = mode === 'observe' ? tiers.every(({ policy }) => isMode(policy.scaling)) : true;
  return all && isMode(defaults.scaling);
}

/** Writes the configuration; what was there is kept beside it, with the time in its name. */
export function writeStamped(
  path: string,
  text: string,
  { clock }: Pick<ProcessContext, 'clock'>,
): Written {
  const stamp = createTimestamp(undefined)(clock.wallMs()).replace(/[-:]/g, '').replace(' ', '-');
  return writeConfiguration(path, text, stamp);
}
