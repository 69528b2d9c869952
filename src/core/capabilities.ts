import type { Controller } from './observation.ts';

export const CONTROLLERS: readonly Controller[] = ['cpu', 'cpuset', 'memory'];

/** What a node can do for its guests. Decisions ask for this, and never for its kind. */
export interface Capabilities {
  /** It can be asked to give memory up (`memory.reclaim`), so that a shrink can be proven. */
  readonly proof: boolean;
  /** It tells how much of a guest's memory is in use, and what of it is cache. */
  readonly workingSet: boolean;
  /** It says how long tasks have waited (PSI). */
  readonly pressure: boolean;
  /** What it counts and limits of guests that run. */
  readonly liveLimits: ReadonlySet<Controller>;
}

/** Of a node; undefined until a guest has run there, since only its cgroup shows them. */
interface Known {
  readonly capabilities: Capabilities | undefined;
}

/** Whether a node is known to be unable to prove that a guest can do with less memory. */
export const lacksProof = ({ capabilities }: Known): boolean => capabilities?.proof === false;

/** Whether a node is known not to tell what a guest needs of its memory. */
export const lacksWorkingSet = ({ capabilities }: Known): boolean =>
  capabilities?.workingSet === false;

/** Whether a node is known neither to count nor to limit this of guests. */
export const lacksLimit = ({ capabilities }: Known, controller: Controller): boolean =>
  capabilities !== undefined && !capabilities.liveLimits.has(controller);
