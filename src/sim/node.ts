import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { type CommandOrder, type CommandRequest, installClients } from './command-client.ts';
import { type Answer, answer, failure } from './command-line.ts';
import { type Caller, CommandServer } from './command-server.ts';
import { ConfigLocks } from './config-locks.ts';
import type { Call, Fault, FaultHook } from './faults.ts';
import { effectiveLimits } from './guest-conf.ts';
import {
  type GuestSpec,
  type Ledger,
  Machine,
  type NodeEvent,
  type ReclaimHook,
} from './machine.ts';
import { pct } from './pct.ts';
import type { CloneBehaviour, CommandContext, HalfDone } from './pct-context.ts';
import type { DemandAt, HostSpec } from './plant.ts';
import type { ForeignGuest } from './pve-files.ts';
import { pvesh } from './pvesh.ts';
import { qm } from './qm.ts';
import { type QmpFault, QmpServers } from './qmp-server.ts';
import type { VmSpec } from './vms.ts';

/**
 * A Proxmox VE node in miniature: a tree of files to be laid under `--sysroot`, kept in step with
 * the plant, and executables `pct`, `qm` and `pvesh` for the front of a PATH.
 */

export interface NodeOptions {
  /** The directory that becomes the sysroot; made if need be, must be empty. */
  readonly root: string;
  readonly host: HostSpec;
  readonly guests: readonly GuestSpec[];
  /** Default `pve1`. */
  readonly nodeName?: string;
  /** Guests that stand in `.vmlist` and live elsewhere. */
  readonly foreign?: readonly ForeignGuest[];
  /** Virtual machines of this node. */
  readonly vms?: readonly VmSpec[];
  /** How much faster than real time the demand's clock runs; rates per second stay true. */
  readonly demandSpeed?: number;
  readonly demandStartMs?: number;
  /** How often pvestatd brings `cores` to the cpusets. Default 10,000, as the real one. */
  readonly pvestatdPeriodMs?: number;
  /** How long a command takes; a real one about 500. Default 0. */
  readonly commandDelayMs?: number;
  /** How long a command waits for a configuration's lock. Default 10,000, as the real one. */
  readonly lockTimeoutMs?: number;
  /** How often the tree is brought up to date after `start()`. Default 200. */
  readonly tickMs?: number;
  /** The plant goes in steps of at most this. Default 200; longer ones for long times. */
  readonly stepMs?: number;
  /** The node's wall clock at the beginning, seconds since 1970. */
  readonly wallStartS?: number;
  /** The wall clock of the program, by which pvestatd and QEMU tell times. Default: `Date.now`. */
  readonly sharedWallMs?: () => number;
  /** A clock that never goes back, in milliseconds. Default: the process's own. */
  readonly monotonicMs?: () => number;
  /** What runs in a clone once it is started. Default: next to nothing. */
  readonly cloneDemand?: (vmid: number) => DemandAt;
  /** Of the CPUs that containers get at their start. Default 1. */
  readonly seed?: number;
}

export interface LimitsView {
  /** What the configuration says. */
  readonly cores: number | undefined;
  readonly memoryMib: number;
  readonly swapMib: number;
  readonly cpuLimit: number | undefined;
  /** The active values of the kernel; undefined while it is stopped. */
  readonly live:
    | { readonly cpus: number; readonly memoryMib: number; readonly swapMib: number }
    | undefined;
}

type Words = Pick<CommandRequest, 'argv' | 'locale'>;

const MIB = 1024 * 1024;
/** A unix socket's path must be shorter than this. */
const LONGEST_SOCKET_PATH = 100;
/** After a pause longer than this (a suspended laptop) the plant goes on without the gap. */
const LONGEST_TICK_MS = 60_000;

const base64 = (text: string | Uint8Array): string => Buffer.from(text).toString('base64');

const orderOf = (result: Answer): CommandOrder => ({
  exit: result.exit,
  stdout: base64(result.stdout),
  stderr: base64(result.stderr),
});

const pause = (ms: number): Promise<void> =>
  ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : Promise.resolve();

/** A place for the socket; outside of the root only where the root's path is too long for one. */
function socketPlace(root: string): { path: string; temporary: string | undefined } {
  const path = join(root, 'run/node.sock');
  if (path.length < LONGEST_SOCKET_PATH) return { path, temporary: undefined };
  const temporary = mkdtempSync(join(tmpdir(), 'simulated-node-'));
  return { path: join(temporary, 'node.sock'), temporary };
}

export class SimulatedNode {
  readonly root: string;
  /** Put this first in PATH. */
  readonly binDirectory: string;
  /** Every command that arrived, oldest first. */
  readonly calls: Call[] = [];
  readonly machine: Machine;
  readonly #options: NodeOptions;
  readonly #locks = new ConfigLocks();
  readonly #server: CommandServer;
  readonly #qmp: QmpServers;
  readonly #callOf = new Map<CommandRequest, Call>();
  readonly #temporary: string | undefined;
  readonly #monotonicMs: () => number;
  #hook: FaultHook | undefined;
  #cloneBehaviour: ((newid: number) => CloneBehaviour | undefined) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lastTickMs = 0;

  private constructor(options: NodeOptions, machine: Machine) {
    this.#options = options;
    this.machine = machine;
    this.root = options.root;
    this.binDirectory = join(options.root, 'usr/sbin');
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now());
    const { path, temporary } = socketPlace(options.root);
    this.#temporary = temporary;
    mkdirSync(dirname(path), { recursive: true });
    installClients(this.binDirectory, path);
    this.#qmp = new QmpServers({
      root: options.root,
      running: (vmid) => machine.vms.running(vmid),
      wallMs: () => machine.sharedWallMs(),
    });
    this.#server = new CommandServer({
      path,
      answer: (caller) => this.#answer(caller),
      onChild: (request, pid) => {
        const call = this.#callOf.get(request);
        if (call !== undefined) call.childPid = pid;
      },
    });
  }

  /** Builds the tree and opens the socket. Time stands still until `start` or `advance`. */
  static async create(options: NodeOptions): Promise<SimulatedNode> {
    const machine = new Machine({
      root: options.root,
      nodeName: options.nodeName ?? 'pve1',
      host: options.host,
      guests: options.guests,
      foreign: options.foreign ?? [],
      vms: options.vms ?? [],
      sharedWallMs: options.sharedWallMs,
      demandSpeed: options.demandSpeed ?? 1,
      stepMs: options.stepMs,
      demandStartMs: options.demandStartMs ?? 0,
      pvestatdPeriodMs: options.pvestatdPeriodMs ?? 10_000,
      wallStartS: options.wallStartS ?? 1_795_300_000,
      ...(options.cloneDemand !== undefined && { cloneDemand: options.cloneDemand }),
      ...(options.seed !== undefined && { seed: options.seed }),
    });
    const node = new SimulatedNode(options, machine);
    await node.#server.listen();
    await node.#syncVms();
    return node;
  }

  /** Lets real time drive the node until `close`. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#lastTickMs = this.#monotonicMs();
    this.#timer = setInterval(() => this.#tick(), this.#options.tickMs ?? 200);
  }

  /** Lets so much time pass at once, without waiting for it. */
  advance(ms: number): void {
    this.machine.advance(ms);
  }

  /** Stops time, ends commands under way and removes the socket. The tree stays. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#qmp.closeAll();
    await this.#server.close();
    this.machine.close();
    if (this.#temporary !== undefined) rmSync(this.#temporary, { recursive: true, force: true });
  }

  get events(): readonly NodeEvent[] {
    return this.machine.events;
  }

  /** What a container may use: by its configuration, and by the kernel. */
  limits(vmid: number): LimitsView | undefined {
    const conf = this.machine.conf(vmid);
    if (conf === undefined) return undefined;
    const { cores, memoryMib, swapMib, cpuLimit } = effectiveLimits(conf.main);
    const live = this.machine.running(vmid)?.limits;
    return {
      cores,
      memoryMib,
      swapMib,
      cpuLimit,
      live: live && {
        cpus: live.cpus.length,
        memoryMib: live.memoryMaxBytes / MIB,
        swapMib: live.swapMaxBytes / MIB,
      },
    };
  }

  /** Kills by the out-of-memory killer since the node was made, over all of a container's lives. */
  oomKills(vmid: number): number {
    const kills = this.events.filter((event) => event.what === 'oom-kill' && event.vmid === vmid);
    return kills.length;
  }

  ledger(vmid: number): Ledger {
    return this.machine.ledger(vmid);
  }

  /** Asked before every command; what it returns happens instead of the command. */
  onCommand(hook: FaultHook | undefined): void {
    this.#hook = hook;
  }

  /** Asked at the beginning of every `pct clone`. */
  onClone(behaviour: (newid: number) => CloneBehaviour | undefined): void {
    this.#cloneBehaviour = behaviour;
  }

  /** Asked whenever memory is to be given up (`memory.reclaim`), before the kernel does so. */
  onReclaim(hook: ReclaimHook | undefined): void {
    this.machine.reclaimHook = hook;
  }

  /** Changes a configuration as an administrator with an editor would. */
  editConfig(vmid: number, change: (text: string) => string): void {
    const text = this.machine.files.read(vmid);
    if (text === undefined) return;
    this.machine.files.write(vmid, change(text));
    this.machine.note(vmid, 'edit', '');
  }

  /** Makes it one of a cluster of two, with or without quorum; undefined: it stands alone. */
  setQuorum(quorate: boolean | undefined): void {
    this.machine.files.setQuorum(quorate);
  }

  /** Stops pve-cluster, or starts it again: then all versions begin anew. */
  setCluster(runs: boolean): void {
    if (runs) this.machine.files.start(this.machine.wallS);
    else this.machine.files.stop();
  }

  /** Writes a cpuset to the cgroups by hand. Of the right size it stays. */
  writeCpuset(vmid: number, cpus: readonly number[]): void {
    this.machine.writeCpuset(vmid, cpus);
  }

  /** Stops or starts pvestatd. While it is stopped `cores` never reaches a cpuset. */
  setPvestatd(runs: boolean): void {
    this.machine.pvestatdRuns = runs;
  }

  /** Puts a `lock:` line in, or takes it out. */
  setLock(vmid: number, lock: string | undefined): void {
    const conf = this.machine.conf(vmid);
    if (conf === undefined) return;
    if (lock === undefined) conf.main.values.delete('lock');
    else conf.main.values.set('lock', lock);
    this.machine.save(vmid, conf);
  }

  startContainer(vmid: number): void {
    this.machine.start(vmid);
    this.machine.sync();
  }

  stopContainer(vmid: number): void {
    this.machine.stop(vmid);
    this.machine.sync();
  }

  /** Freezes a running container, or lets it go on. */
  setFrozen(vmid: number, frozen: boolean): void {
    this.machine.setFrozen(vmid, frozen);
  }

  /** Stops a container and leaves its cgroup behind, with no process in it. */
  leaveBehind(vmid: number): void {
    this.machine.leaveBehind(vmid);
    this.machine.sync();
  }

  /** CPUs that containers cannot use any more; none gives all back. */
  setUnusableCpus(cpus: readonly number[], how: 'offline' | 'parent' = 'offline'): void {
    this.machine.setUnusableCpus(cpus, how);
  }

  /** Starts or stops one of the node's virtual machines. */
  async setVmRunning(vmid: number, runs: boolean): Promise<void> {
    if (runs) this.machine.vms.start(vmid);
    else this.machine.vms.stop(vmid);
    this.machine.sync();
    await this.#syncVms();
  }

  /** QEMU ends, and nobody tidies up: what is pending waits for the next start. */
  async killVm(vmid: number): Promise<void> {
    this.machine.vms.kill(vmid);
    this.machine.sync();
    await this.#syncVms();
  }

  /** Pauses a machine, or lets it go on. */
  setVmPaused(vmid: number, paused: boolean): void {
    const vm = this.machine.vms.running(vmid);
    if (vm !== undefined) vm.frozen = paused;
  }

  /** A monitor that does not do as it should; undefined: it does again. */
  async setQmpFault(vmid: number, fault: QmpFault | undefined): Promise<void> {
    this.#qmp.setFault(vmid, fault);
    await this.#syncVms();
  }

  /** How often the monitor of a machine was spoken to. */
  qmpConversations(vmid: number): number {
    return this.#qmp.conversations.get(vmid) ?? 0;
  }

  /** Changes the configuration of a machine as an administrator with an editor would. */
  editVm(vmid: number, change: (text: string) => string): void {
    const text = this.machine.files.readVm(vmid);
    if (text !== undefined) this.machine.files.writeVmText(vmid, change(text));
  }

  async #syncVms(): Promise<void> {
    await this.#qmp.sync(this.machine.plant.vms.keys());
  }

  /** Adds a container while the node runs. */
  addContainer(guest: GuestSpec): void {
    this.machine.add(guest.vmid, guest.conf, guest.demand);
    if (guest.running !== false) this.startContainer(guest.vmid);
  }

  /** `pct create` begins: at first its configuration is the lock and nothing else. */
  beginCreate({ vmid, demand }: Pick<GuestSpec, 'vmid' | 'demand'>): void {
    this.machine.add(vmid, 'lock: create\n', demand);
  }

  /** While it stops, Perl complains of it and `pct list` leaves it out. */
  setStopping(vmid: number, stops: boolean): void {
    if (stops) this.machine.stopping.add(vmid);
    else this.machine.stopping.delete(vmid);
  }

  destroyContainer(vmid: number): void {
    this.machine.destroy(vmid);
    this.machine.sync();
  }

  /** Holds a configuration's lock file, as another operation at work does. */
  holdConfigLock(vmid: number): boolean {
    const held = this.#locks.tryHold(vmid);
    if (held && this.machine.vms.specs.has(vmid)) this.machine.showVmLock(vmid, true);
    return held;
  }

  releaseConfigLock(vmid: number): void {
    if (this.machine.vms.specs.has(vmid)) this.machine.showVmLock(vmid, false);
    this.#locks.release(vmid);
  }

  /** Runs a command without a process, for tests of what it answers. */
  async run(argv: readonly string[], locale = 'C.UTF-8', half?: HalfDone): Promise<Answer> {
    const result = await this.#work({ argv, locale }, () => false, half);
    this.machine.sync();
    return result;
  }

  #tick(): void {
    const now = this.#monotonicMs();
    const elapsedMs = Math.min(LONGEST_TICK_MS, now - this.#lastTickMs);
    this.#lastTickMs = now;
    if (elapsedMs > 0) this.machine.advance(elapsedMs);
  }

  async #work(request: Words, gone: () => boolean, half?: HalfDone): Promise<Answer> {
    const [tool, ...words] = request.argv;
    const context: CommandContext = {
      machine: this.machine,
      locks: this.#locks,
      lockTimeoutMs: this.#options.lockTimeoutMs ?? 10_000,
      utf8: /utf-?8/i.test(request.locale),
      aborted: gone,
      ...(half === undefined ? {} : { half }),
      ...(this.#cloneBehaviour !== undefined && { cloneBehaviour: this.#cloneBehaviour }),
    };
    switch (tool) {
      case 'pvesh':
        return pvesh(context, words);
      case 'qm': {
        const result = await qm(context, words);
        await this.#syncVms();
        return result;
      }
      default:
        return pct(context, words);
    }
  }

  async #answer({ request, gone }: Caller): Promise<CommandOrder> {
    const atMs = this.machine.plant.hostMs;
    const { argv, pid } = request;
    const call: Call = { argv, atMs, pid, exit: undefined, childPid: undefined };
    this.calls.push(call);
    this.#callOf.set(request, call);
    const fault = this.#hook?.(call);
    const delayMs = fault?.kind === 'slow' ? fault.delayMs : (this.#options.commandDelayMs ?? 0);
    await pause(delayMs);
    if (fault?.kind === 'held') await fault.until;
    const order = await this.#obey(request, gone, fault);
    this.machine.sync();
    if (order.hang === undefined && order.signal === undefined) call.exit = order.exit;
    return order;
  }

  async #obey(
    request: CommandRequest,
    gone: () => boolean,
    fault: Fault | undefined,
  ): Promise<CommandOrder> {
    switch (fault?.kind) {
      case 'fail':
        return orderOf(failure(fault.exit, fault.stderr ?? ''));
      case 'no-effect':
        return orderOf(answer(''));
      case 'answer':
        return orderOf(fault.make(await this.#work(request, gone, fault.done)));
      case 'killed': {
        const done = await this.#work(request, gone, fault.done);
        return { ...orderOf({ ...done, stdout: '' }), signal: fault.signal ?? 'SIGKILL' };
      }
      case 'hang': {
        if (fault.afterWork) await this.#work(request, gone);
        const hang = { ignoreSigterm: fault.ignoreSigterm ?? false, child: fault.child ?? false };
        return { ...orderOf(answer('')), hang };
      }
      default:
        return orderOf(await this.#work(request, gone));
    }
  }
}
