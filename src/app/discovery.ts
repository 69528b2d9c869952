import { foundConfig, isOfEntry, takenIn, withFound } from '../config/found-nodes.ts';
import { type Config, entriesIn, type NodeConfig, waysOf } from '../config/model.ts';
import {
  type ClusterSeen,
  type FoundNode,
  foundWords,
  isSameName,
  leftToObserve,
  seenFor,
  sortOut,
} from '../core/found-nodes.ts';
import { plainText } from '../core/plain-text.ts';
import type { Milliseconds } from '../core/units.ts';
import type { Log } from '../ports.ts';
import { readFoundNodes, writeFoundNodes } from '../store/found-nodes-file.ts';
import type { ProcessContext } from './context.ts';
import type { Launched } from './run.ts';
import { type OpenWorld, whyUnseen } from './world.ts';

/**
 * The other nodes of a cluster (`discover`): those that come are looked after, and those that go
 * are let go of. What is known of them is kept, so that a restart goes on where it was.
 */

export interface DiscoveryOptions extends Looking {
  readonly context: ProcessContext;
  /** Nothing is kept: a dry run. */
  readonly isDry: boolean;
  readonly log: Log;
  /** What this node is called. */
  readonly self: string;
}

/** The nodes that are looked after, and how one comes and goes. */
export interface Looking {
  readonly config: () => Config;
  readonly nodes: () => readonly OpenWorld[];
  /** The configuration with the nodes as they are found now. */
  readonly use: (config: Config) => void;
  readonly add: (node: NodeConfig, by: OpenWorld) => void;
  readonly remove: (name: string) => void;
}

/** A node that is not listed for so long has left its cluster. */
const LEFT_AFTER_MS = 600_000;
/** The most that a crash may take of the time for which nodes were seen. */
const LONGEST_UNSAVED_MS = 900_000;

const NAMED = 'is named in NODES by now';
const ABOUT = { event: 'nodes' } as const;

/** undefined: no entry asks for it. */
export function discoveryIn(
  { config, context, home, launch }: Launched,
  looking: Looking,
): Discovery | undefined {
  if (!config.nodes.some(({ discovers }) => discovers)) return undefined;
  const self = home.inventory === undefined ? '' : home.name;
  const { log } = home.outputs;
  return new Discovery({ ...looking, context, isDry: launch.dryRun, log, self });
}

export class Discovery {
  readonly #options: DiscoveryOptions;
  #found: readonly FoundNode[];
  /** When each was seen last. */
  readonly #seenMs = new Map<string, Milliseconds>();
  /** Since when it is listed no more. */
  readonly #absentSinceMs = new Map<string, Milliseconds>();
  /** What the node of each entry calls itself. */
  readonly #ownNames = new Map<string, string>();
  /** What was said of the cluster of each entry. */
  readonly #said = new Map<string, string>();
  #savedMs: Milliseconds;
  #problem: string | undefined;

  constructor(options: DiscoveryOptions) {
    const { context, log, config } = options;
    this.#options = options;
    this.#savedMs = context.clock.monotonicMs();
    const kept = readFoundNodes(context.paths);
    if (!kept.ok) log.warn(`${kept.detail}: nodes are found anew, and observed for a day`, ABOUT);
    const here = new Map(config().nodes.map((node) => [node.name, node]));
    this.#found = (kept.ok ? kept.value : []).filter(
      ({ name, by }) => here.get(name)?.found?.by === by,
    );
    for (const node of this.#found) log.info(standing(node), ABOUT);
    // What is not in use any more does not come back as known.
    if (kept.ok && kept.value.length > this.#found.length) this.save();
  }

  /** For how long a node that was found is only observed; undefined: it was not found. */
  leftMs(name: string): Milliseconds | undefined {
    const node = this.#found.find((one) => one.name === name);
    return node && leftToObserve(node);
  }

  /** With what was found; what an entry names by now is let go of. */
  with(config: Config): Config {
    const entries = entriesIn(config);
    const named = this.#found.filter((one) => entries.some((entry) => isOfEntry(one, entry)));
    for (const { name } of named) this.#letGo(name, NAMED);
    if (named.length > 0) this.save();
    return withFound(config, this.#found, this.#options.self);
  }

  /** After each whole cycle of a node. */
  looked(open: OpenWorld): void {
    this.#count(open);
    const entry = entriesIn(this.#options.config()).find(({ name }) => name === open.name);
    if (entry?.discovers !== true) return;
    const seen = open.cluster?.seen();
    if (seen?.ok === true) this.#members(entry, open, seen.value);
  }

  save(): void {
    const { context, isDry, log } = this.#options;
    if (isDry) return;
    this.#savedMs = context.clock.monotonicMs();
    const problem = writeFoundNodes(context.paths, this.#found);
    if (problem !== undefined && problem !== this.#problem) log.warn(problem, ABOUT);
    this.#problem = problem;
  }

  #now(): Milliseconds {
    return this.#options.context.clock.monotonicMs();
  }

  #count({ name, hanging, world }: OpenWorld): void {
    const node = this.#found.find((one) => one.name === name);
    if (node === undefined || leftToObserve(node) === 0) return;
    if (whyUnseen({ problem: hanging, eyes: world }) !== undefined) return;
    const nowMs = this.#now();
    const sinceMs = nowMs - (this.#seenMs.get(name) ?? nowMs);
    this.#seenMs.set(name, nowMs);
    const { pollIntervalMs: intervalMs } = this.#options.config();
    const later = seenFor(node, { sinceMs, intervalMs }, this.#unnamed().length === 0);
    this.#found = this.#found.map((one) => (one === node ? later : one));
    if (leftToObserve(later) > 0) {
      if (nowMs - this.#savedMs > LONGEST_UNSAVED_MS) this.save();
      return;
    }
    this.save();
    this.#options.use(this.with(this.#options.config()));
    const now = 'from now on its guests are scaled as the configuration says';
    this.#options.log.info(`${name} was observed for a day: ${now}.`, ABOUT);
  }

  /** Entries that may be any node, since they have not answered yet. */
  #unnamed(): readonly string[] {
    return entriesIn(this.#options.config()).flatMap((entry) => {
      const isNamed = waysOf(entry).some(({ node }) => node !== undefined);
      return isNamed || this.#ownOf(entry.name) !== undefined ? [] : [entry.name];
    });
  }

  /** Also while it is away. */
  #ownOf(entry: string): string | undefined {
    const seen = this.#options
      .nodes()
      .find(({ name }) => name === entry)
      ?.cluster?.seen();
    if (seen?.ok === true) this.#ownNames.set(entry, seen.value.own);
    return this.#ownNames.get(entry);
  }

  #members(entry: NodeConfig, world: OpenWorld, seen: ClusterSeen): void {
    const by = entry.name;
    const { self, config } = this.#options;
    const isTaken = takenIn(config(), self, (name) => this.#ownOf(name));
    const sorted = sortOut(seen, by, this.#found, isTaken);
    this.#tell(by, sorted.known, sorted.odd, sorted.tooMany);
    const mine = this.#found.filter((one) => one.by === by);
    const named = mine.filter((one) => isTaken(one));
    const left = mine.filter((one) => !named.includes(one) && this.#hasLeft(one, seen));
    for (const { name } of named) this.#letGo(name, NAMED);
    for (const { name } of left) this.#letGo(name, 'has left the cluster');
    const fresh = sorted.fresh.flatMap((one) => {
      const node = foundConfig(entry, one);
      return node === undefined ? [] : [{ one, node }];
    });
    if (named.length + left.length + fresh.length === 0) return;
    this.#found = [...this.#found, ...fresh.map(({ one }) => one)];
    this.save();
    this.#options.use(this.with(this.#options.config()));
    for (const { one, node } of fresh) {
      this.#options.log.info(standing(one), ABOUT);
      this.#options.add(node, world);
    }
  }

  /** Only a cluster that can decide has the last word on who is in it. */
  #hasLeft({ name, host }: FoundNode, { members, isQuorate }: ClusterSeen): boolean {
    const listed = members.find((one) => isSameName(one.name, name));
    // One that is off may have no address.
    const isElsewhere = (at: string | undefined): boolean =>
      host !== undefined && at !== undefined && at !== host;
    const isThere = listed !== undefined && !isElsewhere(listed.host);
    if (isThere || !isQuorate) {
      this.#absentSinceMs.delete(name);
      return false;
    }
    const nowMs = this.#now();
    const sinceMs = this.#absentSinceMs.get(name) ?? nowMs;
    this.#absentSinceMs.set(name, sinceMs);
    return nowMs - sinceMs >= LEFT_AFTER_MS;
  }

  #letGo(name: string, why: string): void {
    const { log, remove } = this.#options;
    this.#found = this.#found.filter((one) => one.name !== name);
    this.#absentSinceMs.delete(name);
    this.#seenMs.delete(name);
    const kept = 'What is known of its guests and their backups are kept';
    log.warn(`${name} ${why}, and is not looked after as one that was found. ${kept}.`, ABOUT);
    remove(name);
  }

  /** What is not added, once. */
  #tell(by: string, known: readonly string[], odd: readonly string[], tooMany: number): void {
    const { log } = this.#options;
    const said = JSON.stringify([[...known].sort(), [...odd].sort(), tooMany]);
    if (this.#said.get(by) === said) return;
    this.#said.set(by, said);
    if (known.length > 0) {
      const names = known.join(', ');
      const remedy = 'If another node is meant, name it in NODES';
      const what = `Nodes of these names are looked after already: ${names}`;
      log.info(`${by}: ${what}. ${remedy}.`, ABOUT);
    }
    if (odd.length > 0) {
      const names = odd.map((name) => plainText(name, 64)).slice(0, 5);
      log.warn(`${by}: no node can be called so, and it is skipped: ${names.join(', ')}`, ABOUT);
    }
    if (tooMany > 0) log.warn(`${by}: ${tooMany} nodes more than can be found are skipped`, ABOUT);
  }
}

const standing = (node: FoundNode): string =>
  `${node.name} is looked after too: ${foundWords(node.by, leftToObserve(node))}.`;
