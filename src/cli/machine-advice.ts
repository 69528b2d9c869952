import { join } from 'node:path/posix';
import type { ProcessContext } from '../app/context.ts';
import { plainText } from '../core/plain-text.ts';
import type { Vmid } from '../core/units.ts';
import { type MachineAdvice, machineAdvice, type Wanted } from '../node/guests/qemu-advice.ts';
import { PveInventory } from '../node/local/pve/pve-inventory.ts';
import { createFileReader } from '../os/file-reader.ts';

/** What virtual machines of this node need to be scaled while they run. Changes nothing. */

const LIMIT_BYTES = 1024 * 1024;

/** @param wantedOf what is known of the demand of one */
export function machinesHere(
  { paths }: Pick<ProcessContext, 'paths'>,
  wantedOf: (vmid: Vmid) => Wanted | undefined = () => undefined,
): readonly MachineAdvice[] {
  const { guests, node } = new PveInventory(paths).look();
  if (!guests.ok) return [];
  const read = createFileReader(LIMIT_BYTES, paths.files);
  const own = [...guests.value.values()].filter((one) => one.type === 'qemu' && one.node === node);
  return own.flatMap(({ vmid }) => {
    const file = read(join(paths.vmDirectory(), `${vmid}.conf`));
    if (!file.ok) return [];
    const advice = machineAdvice(vmid, file.value.toString('utf8'), wantedOf(vmid));
    return advice.ok ? [advice.value] : [];
  });
}

const WHEN =
  'At the next maintenance of a virtual machine these commands let more of it be changed while ' +
  'it runs. They take effect when it is stopped and started. Nothing of this is done by itself.';

/** Empty if there is nothing to propose. */
export function adviceLines(machines: readonly MachineAdvice[]): readonly string[] {
  const lines = machines.flatMap(({ vmid, name, proposals }) =>
    proposals.flatMap(({ command, gives }) => [
      `VM ${vmid} (${plainText(name)}), for ${gives}:`,
      `  ${command}`,
    ]),
  );
  return lines.length === 0 ? [] : ['', WHEN, ...lines];
}
