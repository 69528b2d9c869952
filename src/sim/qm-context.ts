import type { CommandContext } from './pct-context.ts';
import type { PveFiles } from './pve-files.ts';
import type { VmMachine } from './vm-machine.ts';

/** The part of a node that it works on. */
export interface VmContext extends Omit<CommandContext, 'machine'> {
  readonly machine: {
    readonly vms: VmMachine;
    readonly files: Pick<
      PveFiles,
      'canWrite' | 'readVm' | 'relativeVmPath' | 'remove' | 'takenIds'
    >;
    readonly wallS: number;
    showVmLock(vmid: number, isHeld: boolean): void;
  };
}
