import type { Mode, Target } from '../../config/edit-mode.ts';
import type { LoadResult } from '../../config/load.ts';
import type { Config } from '../../config/model.ts';
import type { AskedChange } from '../../core/asked.ts';
import type { HealthReport } from '../../core/report/health.ts';
import type { AskedOutcome } from '../../loop/asked.ts';
import type { HttpAnswer } from '../../os/http-listener.ts';
import type { Written } from '../../store/own-config.ts';
import type { configurationText } from '../configuration.ts';
import type { ProcessContext } from '../context.ts';
import type { DaemonState } from '../control-answer.ts';
import type { GroupsPart } from '../groups.ts';
import type { AfterSwitch, modeSwitch } from '../mode-switch.ts';
import type { NodeLoop } from '../node-loop.ts';
import type { AskProxmoxUser } from '../proxmox-users.ts';

/** What the daemon lets HTTP know of it and do with it. */
export interface HttpService {
  readonly context: ProcessContext;
  /** The home first. */
  readonly nodes: () => readonly [NodeLoop, ...NodeLoop[]];
  readonly known: () => readonly [DaemonState, ...DaemonState[]];
  readonly health: () => Promise<HealthReport>;
  /** `/metrics`, `/healthz`, `/readyz`; undefined for another path. */
  readonly figures: (path: string) => Promise<HttpAnswer | undefined>;
  /** Runs this when neither a cycle nor a sample of the node is under way. */
  readonly inTurn: <T>(node: NodeLoop, work: (stop: AbortSignal) => Promise<T>) => Promise<T>;
  /** What a person wants for a guest, within a turn; undefined: the guests cannot be seen. */
  readonly change: (
    node: NodeLoop,
    wanted: AskedChange,
    dryRun: boolean,
  ) => Promise<AskedOutcome | undefined>;
  /** What a person wants for a group; undefined: there is none of this name. */
  readonly askGroup: GroupsPart['ask'];
  /** Memory of the host for members of groups that have not started yet. */
  readonly groupMemoryMib: () => number;
  /** What a configuration with this text would come to. */
  readonly validate: (text: string) => LoadResult;
  /** The file of the configuration, as it is now. */
  readonly configuration: () => ReturnType<typeof configurationText>;
  /** What a switch of observe mode would come to; nothing is written. */
  readonly modeSwitch: (mode: Mode, target: Target) => ReturnType<typeof modeSwitch>;
  /** What comes of a switch to this configuration. */
  readonly afterSwitch: (config: Config, mode: Mode, target: Target) => AfterSwitch;
  /** Writes the configuration, with a copy of the one before. */
  readonly writeConfiguration: (path: string, text: string) => Written;
  /** Asks the node who a user of Proxmox VE is. */
  readonly proxmoxUser: AskProxmoxUser;
  readonly reload: () => void;
  readonly complain: (message: string) => void;
  /** The file of the page. */
  readonly pageFile: string;
}

export type HttpConfig = Config['http'];
