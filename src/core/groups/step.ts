import type { Vmid } from '../units.ts';
import type { MemberState } from './ledger.ts';

/** One thing to be done for a group. Each may be cut off at any point, and is found again. */
export type Step =
  | {
      readonly kind: 'snapshot';
      readonly vmid: Vmid;
      readonly name: string;
      readonly description: string;
      /** Why it is to be cloned. */
      readonly reason: string;
    }
  | {
      readonly kind: 'delete-snapshot';
      readonly vmid: Vmid;
      readonly name: string;
      /** Also where the storage knows nothing of it. */
      readonly force: boolean;
    }
  | CloneStep
  | ConfigureStep
  /** From then on it also starts with the host. */
  | { readonly kind: 'start'; readonly vmid: Vmid }
  /** Runs `on_ready`; then the ledger says that it serves. */
  | {
      readonly kind: 'admit';
      readonly vmid: Vmid;
      readonly address: string | undefined;
      readonly reason: string;
    }
  /** Writes the state into the ledger; no command is run. */
  | {
      readonly kind: 'mark';
      readonly vmid: Vmid;
      readonly state: MemberState;
      /** Whether it was ever in service. */
      readonly served: boolean;
      readonly reason: string;
    }
  /**
   * Runs `on_terminating` where it was ever in service, has it start with the host no longer, and
   * shuts it down.
   */
  | {
      readonly kind: 'take-out';
      readonly vmid: Vmid;
      readonly drain: boolean;
      readonly reason: string;
    }
  | {
      readonly kind: 'destroy';
      readonly vmid: Vmid;
      /** Whether it was ever in service. */
      readonly served: boolean;
      readonly reason: string;
    }
  /** Removes what a clone that was cut off has left. */
  | { readonly kind: 'discard'; readonly vmid: Vmid; readonly reason: string }
  /** Takes a lock off the source that a command of ours which was cut off has left. */
  | { readonly kind: 'unlock-source'; readonly vmid: Vmid; readonly lock: string };

export interface CloneStep {
  readonly kind: 'clone';
  /** Of the clone. */
  readonly vmid: Vmid;
  readonly source: Vmid;
  readonly snapshot: string | undefined;
  readonly full: boolean;
  readonly hostname: string;
  readonly description: string;
  readonly address: string | undefined;
  readonly disk: { readonly storage: string; readonly mib: number } | undefined;
  readonly reason: string;
}

/** Makes a clone a member of its own: none of what it has of its source stays by accident. */
export interface ConfigureStep {
  readonly kind: 'configure';
  readonly vmid: Vmid;
  readonly digest: string;
  /** Options of `pct set`. */
  readonly set: ReadonlyMap<string, string>;
  readonly remove: readonly string[];
}

/** What a step works on: no two steps at a time on one container. */
export const subjectsOf = (step: Step): readonly Vmid[] =>
  step.kind === 'clone' ? [step.vmid, step.source] : [step.vmid];

/** What it does, whatever name a snapshot has: to find it done again. */
export const effectKey = (step: Step): string =>
  [step.kind, step.vmid, ...(step.kind === 'mark' ? [step.state] : [])].join('/');

/** Under which all that makes another member is counted. */
export const OUT_KEY = 'out';

/** Under which its failures are counted. */
export function stepKey(step: Step): string {
  if (step.kind === 'snapshot' || step.kind === 'clone') return OUT_KEY;
  return `${step.kind}/${step.vmid}`;
}

const KEY_WORDS = new Map<string, string>([
  ['delete-snapshot', 'removing a snapshot of #'],
  ['configure', 'configuring #'],
  ['start', 'starting #'],
  ['admit', 'taking # into service'],
  ['mark', 'marking #'],
  ['take-out', 'taking # out of service'],
  ['destroy', 'destroying #'],
  ['discard', 'removing what is left of #'],
  ['unlock-source', 'taking a lock off #'],
]);

/** A `stepKey` in words. */
export function keyWords(key: string): string {
  const [kind = '', vmid = ''] = key.split('/');
  const words = KEY_WORDS.get(kind) ?? 'making another member';
  return words.replace('#', `container ${vmid}`);
}

/** For the log: `cloning container 101 as 99000`. */
export function stepWords(step: Step): string {
  switch (step.kind) {
    case 'snapshot':
      return `taking the snapshot ${step.name} of container ${step.vmid}`;
    case 'delete-snapshot':
      return `removing the snapshot ${step.name} of container ${step.vmid}`;
    case 'clone': {
      const at = step.address === undefined ? '' : ` with the address ${step.address}`;
      return `cloning container ${step.source} as ${step.vmid}${at}`;
    }
    case 'configure':
      return `configuring the clone ${step.vmid}`;
    case 'start':
      return `starting container ${step.vmid}`;
    case 'admit':
      return `taking container ${step.vmid} into service`;
    case 'mark':
      return `marking container ${step.vmid} as ${step.state}`;
    case 'take-out':
      return `taking container ${step.vmid} out of service`;
    case 'destroy':
      return `destroying container ${step.vmid}`;
    case 'discard':
      return `removing what is left of the clone ${step.vmid}`;
    case 'unlock-source':
      return `taking the lock (${step.lock}) that was left off container ${step.vmid}`;
  }
}
