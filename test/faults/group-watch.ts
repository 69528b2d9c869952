import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Call } from '../../src/sim/faults.ts';
import type { SimulatedNode } from '../../src/sim/node.ts';
import { GROUP } from './stage.ts';
import type { Watch } from './watch.ts';

/** What must hold of a group whatever happens: whom its commands may touch, and who there is. */

/** Where the members of the group are written down. */
const LEDGER = `etc/pve/priv/lxc_autoscale/${GROUP.label}.json`;

/** Locks that a command on the source which was cut off leaves. */
const LOCKS_OF_COMMANDS: ReadonlySet<string> = new Set(['snapshot', 'snapshot-delete', 'disk']);

/** States in which a member may be ended, by the verb that does it. */
const ENDING: Readonly<Record<string, readonly string[]>> = {
  shutdown: ['leaving', 'failed'],
  destroy: ['leaving', 'failed', 'cloning'],
  unlock: ['cloning'],
};

/** A limit alone is changed by a vertical decision. */
export const isOfGroup = ({ argv: [tool, verb, , ...rest] }: Call): boolean =>
  (tool !== 'pct' && tool !== 'qm') ||
  verb !== 'set' ||
  rest.includes('--description') ||
  rest.includes('--onboot');

export class GroupWatch {
  readonly #node: SimulatedNode;
  readonly #watch: Watch;

  constructor(node: SimulatedNode, watch: Watch) {
    this.#node = node;
    this.#watch = watch;
  }

  /** Those of the group that there are, in whatever state. */
  members(): readonly number[] {
    const states = this.#states();
    return this.#node.machine.files
      .vmids()
      .filter((vmid) => vmid === GROUP.source || states.has(vmid));
  }

  /** As the ledger has them, read past all faults. */
  #states(): ReadonlyMap<number, string> {
    const path = join(this.#node.root, LEDGER);
    if (!existsSync(path)) return new Map();
    const text = readFileSync(path, 'utf8');
    try {
      const { members } = JSON.parse(text);
      return new Map(members.map(({ vmid, state }: never) => [vmid, state]));
    } catch {
      this.#watch.complain(`the ledger is not whole: ${text}`);
      return new Map();
    }
  }

  arrives({ argv }: Call): void {
    const wrong = argv[0] === 'pvesh' ? this.#wrongQuery(argv) : this.#wrongCommand(argv);
    if (wrong === undefined || this.#watch.liedOfConfigurations) return;
    this.#watch.complain(`${argv.slice(0, 5).join(' ')}: ${wrong}`);
  }

  #wrongQuery([, verb]: readonly string[]): string | undefined {
    return verb === 'get' ? undefined : 'a query that is none';
  }

  #wrongCommand([, verb = '', id, word = '']: readonly string[]): string | undefined {
    const vmid = Number(id);
    const text = this.#text(vmid);
    if (verb === 'snapshot' || verb === 'clone') {
      if (vmid !== GROUP.source) return 'it is not the source';
      return verb === 'clone' && Number(word) < GROUP.firstId ? 'an id of others' : undefined;
    }
    if (verb === 'delsnapshot') return this.#wrongSnapshot(vmid, text, word);
    if (text === '') return undefined;
    if (vmid === GROUP.source) {
      const lock = /^lock: (.*)$/m.exec(text)?.[1];
      const isOwn = verb === 'unlock' && (lock === undefined || LOCKS_OF_COMMANDS.has(lock));
      return isOwn ? undefined : `the source is not to be touched (lock ${lock})`;
    }
    const state = this.#states().get(vmid);
    if (state === undefined) return 'it is no member that the program made';
    if (verb === 'destroy' && /^protection: 1$/m.test(text)) return 'it is protected';
    if (verb === 'start') this.#watch.judgeStart(vmid);
    if (verb === 'set' || verb === 'start') return undefined;
    return ENDING[verb]?.includes(state) === true ? undefined : `it is marked as ${state}`;
  }

  #wrongSnapshot(vmid: number, text: string, name: string): string | undefined {
    if (vmid !== GROUP.source) return 'it is not the source';
    const isOwn = !text.includes(`\n[${name}]\n`) || name.startsWith('autoscale-web-');
    return isOwn ? undefined : 'the snapshot is somebody else\u2019s';
  }

  cycleEnds(): void {
    const { machine, events } = this.#node;
    const died = events.some(({ what, vmid }) => what === 'died' && vmid === GROUP.source);
    if (machine.running(GROUP.source) === undefined && !died) {
      this.#watch.complain('the source of the group does not run');
    }
    const members = this.members();
    if (members.length > GROUP.most) {
      this.#watch.complain(`the group has ${members.length} members: ${members.join(', ')}`);
    }
    const running = members.filter((vmid) => machine.running(vmid) !== undefined);
    for (const pattern of [/hwaddr=([0-9A-F:]+)/, /,ip=([0-9.]+)\//]) {
      const values = running.flatMap((vmid) => pattern.exec(this.#text(vmid))?.[1] ?? []);
      if (new Set(values).size < values.length) {
        this.#watch.complain(`two running members have the same: ${values.join(', ')}`);
      }
    }
  }

  /** What of its own is not whole. */
  leftovers(): readonly string[] {
    const source = this.#text(GROUP.source);
    const ofSource = /^lock:|^\[/m.test(source) ? [`the source was left as\n${source}`] : [];
    const clones = [...this.#states()].flatMap(([vmid, state]) =>
      state === 'cloning' ? [`the clone ${vmid} was left as\n${this.#text(vmid)}`] : [],
    );
    return [...ofSource, ...clones];
  }

  #text(vmid: number): string {
    return this.#node.machine.files.read(vmid) ?? '';
  }
}
