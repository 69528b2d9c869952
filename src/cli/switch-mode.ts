import { existsSync } from 'node:fs';
import { join } from 'node:path/posix';
import {
  countingFile,
  readConfiguration,
  readVariables,
  renderProblems,
} from '../app/configuration.ts';
import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { editMode, type Mode, OWN_TIERS, type Target } from '../config/edit-mode.ts';
import { parseConfig } from '../config/load.ts';
import type { Config } from '../config/model.ts';
import { type ConfigOnNode, onNode } from '../config/on-node.ts';
import { readTextFile } from '../config/read-file.ts';
import { machineWishes, manage } from '../config/resolve.ts';
import { secretsOf } from '../config/secrets-of.ts';
import { OBSERVE_TAG } from '../config/tags.ts';
import type { GuestConfig } from '../core/observation.ts';
import { plainText } from '../core/plain-text.ts';
import { masking } from '../core/secrets.ts';
import type { Vmid } from '../core/units.ts';
import { createGuests } from '../node/local/pve/guests.ts';
import { configuredGuests } from '../node/local/qemu/machine-doors.ts';
import { LocalMachines } from '../node/local/qemu/machine-guests.ts';
import { askControlSocket } from '../os/control-client.ts';
import { CONTROL_SOCKET } from '../os/control-path.ts';
import type { Arguments } from './arguments.ts';
import { lineDiff } from './line-diff.ts';
import { putConfiguration } from './write-configuration.ts';

/**
 * `activate [TIER|GUEST]` and `observe [TIER|GUEST]`: edits the configuration in place, checks what
 * came of it, shows the difference, keeps a copy, and has the daemon take it over.
 */
export const activate = (given: Arguments, context: ProcessContext): Promise<ExitCode> =>
  switchMode('act', given, context);

export const observe = (given: Arguments, context: ProcessContext): Promise<ExitCode> =>
  switchMode('observe', given, context);

async function switchMode(
  mode: Mode,
  given: Arguments,
  context: ProcessContext,
): Promise<ExitCode> {
  const { stdout, stderr, paths } = context;
  const { path, isShared } = countingFile(given.configFile, paths);
  const before = readTextFile(path);
  const loaded = readConfiguration(given, context);
  if (!before.ok || !loaded.ok) {
    stderr.write(loaded.ok ? `${path} could not be read.\n` : renderProblems(loaded));
    return EXIT.configuration;
  }
  const refuse = (why: string): ExitCode => {
    stderr.write(`Nothing was changed: ${plainText(why)}.\n`);
    return EXIT.failure;
  };
  const target = targetOf(given);
  const why =
    target.kind === 'guest' ? whyNotAlone(loaded.config, target.vmid, mode, context) : undefined;
  if (why !== undefined) return refuse(why);
  if (isSo(loaded.config, target, mode, context)) {
    stdout.write(`${nameOf(target)} already ${mode === 'act' ? 'active' : 'observed only'}.\n`);
    stdout.write(exceptions(loaded.config, target, mode, context));
    return EXIT.fine;
  }
  const edited = editMode(before.text, target, mode);
  if (!edited.ok) return refuse(edited.message);
  const variables = readVariables(context, isShared);
  const env = variables.ok ? variables.env : context.env;
  const checked = parseConfig(edited.text, path, env);
  if (!checked.ok || !isSo(checked.config, target, mode, context)) {
    return refuse('the line would not take effect; edit scaling_mode in the file by hand');
  }
  const mask = masking(secretsOf(loaded.config));
  for (const line of lineDiff(before.text, edited.text)) {
    stdout.write(`${plainText(mask(line), 200)}\n`);
  }
  if (given.dryRun) {
    stdout.write('A dry run: nothing was written.\n');
    return EXIT.fine;
  }
  if (!putConfiguration(given.configFile ?? path, edited.text, context, path)) return EXIT.failure;
  const code = await takeOver(mode, target, context);
  if (isShared) stdout.write(OTHERS_FOLLOW);
  stdout.write(exceptions(checked.config, target, mode, context));
  return code;
}

const OTHERS_FOLLOW =
  'The nodes of the cluster share this file: on the others it is so after their next look.\n';

function targetOf({ vmid, tier }: Arguments): Target {
  if (vmid !== undefined) return { kind: 'guest', vmid };
  return tier === undefined ? { kind: 'all' } : { kind: 'section', name: tier };
}

function nameOf(target: Target): string {
  if (target.kind === 'guest') return `Container ${target.vmid} is`;
  return target.kind === 'all' ? 'Everything is' : `${target.name} is`;
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

const REMOVE_TAG = 'remove the tag in Proxmox VE';

const isTagged = ({ tags }: GuestConfig): boolean =>
  tags.some((tag) => tag.toLowerCase() === OBSERVE_TAG);

/** Lines on what of the target is not changed all the same; empty if there is nothing. */
function exceptions(config: Config, target: Target, mode: Mode, context: ProcessContext): string {
  if (mode === 'observe' || target.kind === 'guest') return '';
  const here = onNode(config, context.paths.nodeName());
  const guests = guestsOf(here, context);
  const tagged = guests.flatMap((guest) => {
    const management = manage(here, guest);
    if (management.kind === 'ignored' || !isTagged(guest)) return [];
    const { source, scaling } = management.policy;
    const isMeant = target.kind === 'all' || source === target.name;
    return isMeant && scaling !== 'observe' ? [guest.vmid] : [];
  });
  const isAll = target.kind === 'all';
  const observing = isAll ? config.tiers.filter(({ policy }) => policy.scaling === 'observe') : [];
  const left = isAll ? guests.filter((guest) => isLeftOut(here, guest)) : [];
  const tiers = observing.map(({ name }) => name);
  return [
    ...(tagged.length === 0 ? [] : [observedBy(`the tag ${OBSERVE_TAG}`, tagged, REMOVE_TAG)]),
    ...(tiers.length === 0
      ? []
      : [observedBy('a line of their own', tiers, `activate ${tiers[0]}`)]),
    ...(left.length === 0 ? [] : [leftOut(left)]),
  ].join('');
}

const observedBy = (what: string, which: readonly (Vmid | string)[], remedy: string): string =>
  `Observed all the same, by ${what}: ${which.join(', ')}. To have one changed, ${remedy}.\n`;

const leftOut = (machines: readonly GuestConfig[]): string =>
  `Virtual machines are skipped: manage_vms is not set and no tier lists them: ${machines
    .map(({ vmid }) => vmid)
    .join(', ')}.\n`;

/** Whether it is a virtual machine that nobody has asked for. */
const isLeftOut = (config: ConfigOnNode, guest: GuestConfig): boolean =>
  manage(config, guest).kind === 'ignored' &&
  manage({ ...config, manageVms: true }, guest).kind === 'managed';

/** Of this node, virtual machines among them, in the order of their ids. */
function guestsOf(config: ConfigOnNode, { paths, clock }: ProcessContext): readonly GuestConfig[] {
  const machines = new LocalMachines(paths, clock);
  machines.use(machineWishes({ ...config, manageVms: true }));
  const listed = configuredGuests(createGuests(paths), machines);
  const guests = listed.ok ? [...listed.value.values()] : [];
  return guests.flatMap((guest) => (guest.ok ? [guest.value] : [])).sort((a, b) => a.vmid - b.vmid);
}

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

/** The daemon reloads at once; where none answers, the next one starts with it. */
async function takeOver(mode: Mode, target: Target, context: ProcessContext): Promise<ExitCode> {
  const { stdout, stderr, paths } = context;
  const answer = await askControlSocket(paths.at(CONTROL_SOCKET), { command: 'reload' });
  const isTaken = answer.kind === 'answered' && answer.content['reloading'] === true;
  if (isTaken || answer.kind === 'nobody') {
    const now = mode === 'act' ? 'active' : 'observed only';
    stdout.write(`${nameOf(target)} ${now} ${isTaken ? 'now' : 'when the daemon starts'}.\n`);
    return EXIT.fine;
  }
  stderr.write('The daemon did not reload. Try: systemctl reload lxc_autoscale\n');
  return EXIT.failure;
}
