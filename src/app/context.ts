import type { Writable } from 'node:stream';
import type { Paths } from '../node/local/paths.ts';
import type { Clock } from '../node/port.ts';

/** What the process got when it was started. */
export interface ProcessContext {
  readonly paths: Paths;
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Those of `--env-file`: for the configuration, and for no child of this process. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly stdout: Writable;
  readonly stderr: Writable;
}
