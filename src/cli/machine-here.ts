import { readConfiguration } from '../app/configuration.ts';
import type { ProcessContext } from '../app/context.ts';
import { onNode } from '../config/on-node.ts';
import { manage } from '../config/resolve.ts';
import { LONGEST_NAME } from '../core/guest-words.ts';
import { plainText } from '../core/plain-text.ts';
import { ALL_MACHINES, LocalMachines } from '../node/local/qemu/machine-guests.ts';
import type { Arguments } from './arguments.ts';

/**
 * Why no cycle has seen a virtual machine that is on this node, as a sentence; undefined: it is not
 * here, or it is looked after.
 */
export function whyUnseen(given: Arguments, context: ProcessContext): string | undefined {
  const { vmid, node } = given;
  const { paths, clock } = context;
  const isHere = node === undefined || node.toLowerCase() === paths.nodeName().toLowerCase();
  if (vmid === undefined || !isHere) return undefined;
  const machines = new LocalMachines(paths, clock);
  machines.use(ALL_MACHINES);
  const config = machines.configured().get(vmid);
  const loaded = readConfiguration(given, context);
  if (config?.ok !== true || !loaded.ok) return undefined;
  const management = manage(onNode(loaded.config, paths.nodeName()), config.value);
  if (management.kind !== 'ignored') return undefined;
  const name = plainText(config.value.name, LONGEST_NAME);
  return `VM ${vmid} (${name}) is left alone: ${plainText(management.because)}.`;
}
