import { renderProblems } from '../app/configuration.ts';
import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { exceptions, modeSwitch } from '../app/mode-switch.ts';
import type { Mode, Target } from '../config/edit-mode.ts';
import type { Config } from '../config/model.ts';
import { type ConfigOnNode, onNode } from '../config/on-node.ts';
import { machineWishes } from '../config/resolve.ts';
import type { GuestConfig } from '../core/observation.ts';
import { createGuests } from '../node/local/pve/guests.ts';
import { configuredGuests } from '../node/local/qemu/machine-doors.ts';
import { LocalMachines } from '../node/local/qemu/machine-guests.ts';
import { askControlSocket } from '../os/control-client.ts';
import { CONTROL_SOCKET } from '../os/control-path.ts';
import type { Arguments } from './arguments.ts';
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
  const { stdout, stderr } = context;
  const target = targetOf(given);
  const change = modeSwitch(mode, target, given, context);
  const { path } = change.file;
  switch (change.kind) {
    case 'broken':
      stderr.write(renderProblems(change.problems));
      return EXIT.configuration;
    case 'unreadable':
      stderr.write(`${path} could not be read.\n`);
      return EXIT.configuration;
    case 'refused':
      stderr.write(`Nothing was changed: ${change.why}.\n`);
      return EXIT.failure;
    case 'already':
      stdout.write(`${nameOf(target)} already ${mode === 'act' ? 'active' : 'observed only'}.\n`);
      stdout.write(exceptionLines(change.config, target, mode, context));
      return EXIT.fine;
    default:
  }
  for (const line of change.lines) stdout.write(`${line}\n`);
  if (given.dryRun) {
    stdout.write('A dry run: nothing was written.\n');
    return EXIT.fine;
  }
  if (!putConfiguration(given.configFile ?? path, change.text, context, path)) return EXIT.failure;
  const code = await takeOver(mode, target, context);
  for (const sentence of change.besides) stdout.write(`${sentence}\n`);
  stdout.write(exceptionLines(change.config, target, mode, context));
  return code;
}

function targetOf({ vmid, tier }: Arguments): Target {
  if (vmid !== undefined) return { kind: 'guest', vmid };
  return tier === undefined ? { kind: 'all' } : { kind: 'section', name: tier };
}

function nameOf(target: Target): string {
  if (target.kind === 'guest') return `Container ${target.vmid} is`;
  return target.kind === 'all' ? 'Everything is' : `${target.name} is`;
}

/** Lines on what of the target is not changed all the same; empty if there is nothing. */
function exceptionLines(
  config: Config,
  target: Target,
  mode: Mode,
  context: ProcessContext,
): string {
  const here = onNode(config, context.paths.nodeName());
  const nodes = [{ config: here, guests: guestsOf(here, context) }];
  return exceptions(config, mode, target, nodes)
    .map((line) => `${line}\n`)
    .join('');
}

/** Of this node, virtual machines among them, in the order of their ids. */
function guestsOf(config: ConfigOnNode, { paths, clock }: ProcessContext): readonly GuestConfig[] {
  const machines = new LocalMachines(paths, clock);
  machines.use(machineWishes({ ...config, manageVms: true }));
  const listed = configuredGuests(createGuests(paths), machines);
  const guests = listed.ok ? [...listed.value.values()] : [];
  return guests.flatMap((guest) => (guest.ok ? [guest.value] : [])).sort((a, b) => a.vmid - b.vmid);
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
