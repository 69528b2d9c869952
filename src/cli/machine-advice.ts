import { join } from 'node:path/posix';
import type { ProcessContext } from '../app/context.ts';
import type { HostSize } from '../core/machine-guards.ts';
import { plainText } from '../core/plain-text.ts';
import { present } from '../core/reading.ts';
import { mib, type Vmid } from '../core/units.ts';
import { type MachineAdvice, machineAdvice, type Wanted } from '../node/guests/qemu-advice.ts';
import { createHostView } from '../node/local/kernel/proc-files.ts';
import { isOnNode } from '../node/local/paths.ts';
import { PveInventory } from '../node/local/pve/pve-inventory.ts';
import { createFileReader } from '../os/file-reader.ts';

/** What virtual machines of this node need to be scaled while they run. Changes nothing. */

const LIMIT_BYTES = 1024 * 1024;

/** undefined: it is not known, or this is no node: no guest runs here. */
export function hostHere({ paths }: Pick<ProcessContext, 'paths'>): HostSize | undefined {
  if (!isOnNode(paths.at)) return undefined;
  const { cpus, memory } = createHostView(paths, () => present(mib(0))).observe();
  if (!cpus.ok || !memory.ok) return undefined;
  return { cpus: cpus.value, memoryMib: memory.value.totalMib };
}

/** @param wantedOf what is known of the demand of one */
export function machinesHere(
  { paths }: Pick<ProcessContext, 'paths'>,
  wantedOf: (vmid: Vmid) => Wanted | undefined = () => undefined,
): readonly MachineAdvice[] {
  const { guests, node } = new PveInventory(paths).look();
  if (!guests.ok) return [];
  const read = createFileReader(LIMIT_BYTES, paths.files);
  const host = hostHere({ paths });
  const own = [...guests.value.values()].filter((one) => one.type === 'qemu' && one.node === node);
  return own.flatMap(({ vmid }) => {
    const file = read(join(paths.vmDirectory(), `${vmid}.conf`));
    if (!file.ok) return [];
    const advice = machineAdvice(vmid, file.value.toString('utf8'), wantedOf(vmid), host);
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
