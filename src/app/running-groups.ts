import { randomBytes } from 'node:crypto';
import { join } from 'node:path/posix';
import { groupPolicies } from '../config/group-policies.ts';
import type { ConfigOnNode } from '../config/on-node.ts';
import type { GroupWish } from '../core/groups/draft.ts';
import { type GroupReport, groupReport } from '../core/groups/group-report.ts';
import type { GroupState } from '../core/groups/group-state.ts';
import { fromSavedGroups, toSavedGroups } from '../core/groups/saved-groups.ts';
import type { WishAnswer } from '../core/groups/wish.ts';
import { Groups } from '../groups/controller.ts';
import { createCluster } from '../node/local/pve/cluster-files.ts';
import { createLeases } from '../node/local/pve/lease.ts';
import { createLedgers } from '../node/local/pve/member-ledger.ts';
import { createGroupTools } from '../node/local/pve/pct-groups.ts';
import type { PveInventory } from '../node/local/pve/pve-inventory.ts';
import type { GroupDoor } from '../node/port.ts';
import { createHealthProbe } from '../os/health-probe.ts';
import { ofComponent } from '../output/component-log.ts';
import type { World } from '../ports.ts';
import { createStateFile } from '../store/state-file.ts';
import type { ProcessContext } from './context.ts';
import type { NodeLoop } from './node-loop.ts';

export interface AskableGroups {
  /**
   * Has a group make or take away a member; undefined: there is no such group.
   *
   * @param dryRun only says what would come of it
   */
  ask(label: string, wish: GroupWish, dryRun: boolean): Promise<WishAnswer | undefined>;
}

/** Groups have their own timer beside the loop, so that neither waits for the other. */
export interface RunningGroups extends AskableGroups {
  /** Starts no further step. A step that does not end within a moment finishes by itself. */
  stop(): Promise<void>;
  readonly reports: readonly GroupReport[];
  /** Memory of the host for members that are being made and have not started yet. */
  readonly comingMib: number;
}

const nonce = (): string => randomBytes(16).toString('hex');

const GROUPS_FILE = 'groups.json';
const STATE = '/var/lib/lxc_autoscale';
/** The lease has to be renewed well within its two minutes. */
const LONGEST_INTERVAL_MS = 30_000;
/** Many steps may end at once. */
const WAKE_MS = 100;
const STOP_MS = 1000;

const LEFT = 'they are left to finish';
const CUT_OFF = 'they end with the connection, and the next start finds how far they came';

export interface HomeGroups {
  readonly inventory: PveInventory | undefined;
  /** Memory of the host for guests that somebody has asked for, and that do not run yet. */
  readonly askedMib: () => number;
}

/** @param home of the node that this program runs on; undefined: it is a further one */
export function startGroups(
  node: NodeLoop,
  home: HomeGroups | undefined,
  context: ProcessContext,
): RunningGroups {
  const { world } = node;
  const { below, hanging } = node.open;
  const { paths, clock } = context;
  const stateFile = join(STATE, below, GROUPS_FILE);
  const file = createStateFile(paths, stateFile);
  const boot = file.boot() ?? '';
  const log = ofComponent(world.log, 'groups');
  const states = statesFrom(file.read(), boot, { log });
  const policiesOf = remembered();
  const save = (): string | undefined => {
    if (node.settings.dryRun) return undefined;
    return file.write(toSavedGroups(states, boot));
  };
  const door = node.open.groups ?? doorHere(home?.inventory, context);
  const groupWorld = { ...world, ...door, log, probe: createHealthProbe() };
  let timer: NodeJS.Timeout | undefined;
  let stopping = false;
  const groups = new Groups({
    world: groupWorld,
    states,
    save,
    boot,
    stateFile,
    nonce,
    settings: () => {
      const { config, settings, headroom } = node;
      const { manage, hostPolicy } = settings;
      const dryRun = settings.dryRun || config.onlyObserved !== undefined;
      return {
        policies: policiesOf(config),
        manage,
        hostPolicy,
        dryRun,
        headroom: () => headroom,
        othersMib: () => home?.askedMib() ?? 0,
      };
    },
    wake: () => {
      if (!stopping) lookIn(WAKE_MS);
    },
  });
  const lookIn = (ms: number): void => {
    clearTimeout(timer);
    timer = setTimeout(() => void look(), ms);
  };
  const look = async (): Promise<void> => {
    await world.observe();
    if (stopping) return;
    // If /etc/pve does not answer, the cycle logs it.
    if (hanging() === undefined) await groups.look();
    lookIn(Math.min(node.config.sampleIntervalMs, LONGEST_INTERVAL_MS));
  };
  lookIn(0);
  return {
    async ask(label, wish, dryRun) {
      if (!policiesOf(node.config).some((policy) => policy.label === label)) return undefined;
      await world.observe();
      const why = hanging();
      return why === undefined ? groups.ask(label, wish, dryRun) : { ok: false, why };
    },
    async stop() {
      stopping = true;
      clearTimeout(timer);
      groups.stop();
      await atRest(groups);
      const problem = save();
      if (problem !== undefined) log.warn(problem);
      if (groups.busy > 0) {
        const how = node.open.groups === undefined ? LEFT : CUT_OFF;
        log.info(`${groups.busy} steps of groups are under way; ${how}`);
      } else for (const { policy } of groups.standings) groupWorld.leases.release(policy.label);
    },
    get comingMib() {
      return groups.comingMib;
    },
    get reports() {
      return groups.standings.map(({ policy, plan, state, busy }) =>
        groupReport(policy, plan, state, busy, clock.monotonicMs()),
      );
    },
  };
}

/** Steps under way may end, within a moment. */
async function atRest(groups: Groups): Promise<void> {
  for (let waitedMs = 0; groups.busy > 0 && waitedMs < STOP_MS; waitedMs += WAKE_MS) {
    await new Promise((resolve) => setTimeout(resolve, WAKE_MS));
  }
}

/** That of the node that this program runs on. */
export function doorHere(
  inventory: PveInventory | undefined,
  { paths, clock, env }: Pick<ProcessContext, 'paths' | 'clock' | 'env'>,
): GroupDoor {
  const tools = createGroupTools({ paths, environment: env });
  return {
    cluster: createCluster(paths, inventory),
    eyes: tools,
    hands: tools,
    leases: createLeases({ paths, clock }),
    ledgers: createLedgers(paths),
  };
}

function statesFrom(
  read: ReturnType<ReturnType<typeof createStateFile>['read']>,
  boot: string,
  { log }: Pick<World, 'log'>,
): Map<string, GroupState> {
  const taken = read.ok ? fromSavedGroups(read.value, boot) : read;
  if (taken.ok) return new Map(taken.value);
  if (taken.why !== 'absent') {
    log.warn(`The saved state of groups is ignored, and a new one begins: ${taken.detail}`);
  }
  return new Map();
}

/** Computed again only for another configuration. */
function remembered(): (config: ConfigOnNode) => ReturnType<typeof groupPolicies> {
  const known = new WeakMap<ConfigOnNode, ReturnType<typeof groupPolicies>>();
  return (config) => {
    const policies = known.get(config) ?? groupPolicies(config);
    known.set(config, policies);
    return policies;
  };
}
