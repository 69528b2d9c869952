import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach } from 'vitest';
import type { DiskWish } from '../../src/core/groups/disk-wish.ts';
import type { JournalEvent } from '../../src/core/journal-event.ts';
import { present, type Reading } from '../../src/core/reading.ts';
import { mib, milliseconds } from '../../src/core/units.ts';
import type { DiskWorld } from '../../src/groups/disk-plan.ts';
import { Disks } from '../../src/groups/disks.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { createCluster } from '../../src/node/local/pve/cluster-files.ts';
import { readGuestNow } from '../../src/node/local/pve/guest-now.ts';
import { createLedgers } from '../../src/node/local/pve/member-ledger.ts';
import type { CommandOutcome, GroupCommand, StorageRoom } from '../../src/node/port.ts';

/** `/etc/pve` as real files, with what asks of disks and clones over them; commands are doubles. */

const opened: string[] = [];
afterEach(() => {
  for (const root of opened.splice(0)) rmSync(root, { recursive: true, force: true });
});

export const WEB =
  'hostname: web\nmemory: 512\nonboot: 1\n' +
  'net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:04,ip=dhcp\n' +
  'rootfs: local-lvm:vm-104-disk-0,size=8G\n';

const DONE: CommandOutcome = { kind: 'done' };
export const FAILED = (message: string): CommandOutcome => ({
  kind: 'failed',
  why: 'other',
  exitCode: 255,
  message,
});

export class DiskNode {
  readonly root = mkdtempSync(join(tmpdir(), 'disks-'));
  readonly paths = createPaths(this.root);
  readonly commands: GroupCommand[] = [];
  readonly events: JournalEvent[] = [];
  readonly lines: string[] = [];
  readonly backups: string[] = [];
  readonly running = new Set<number>([104]);
  readonly elsewhere = new Set<number>();
  /** Its state cannot be told. */
  unknown = false;
  nowS = 1_700_000_000;
  room: Reading<number> = present(4096);
  /** What is kept for guests on their way, as of each command. */
  readonly kept: number[] = [];
  rooms: Record<string, StorageRoom> = {};
  journalProblem: string | undefined;
  blind: string | undefined;
  leftAlone: string | undefined;
  /** In place of what a command does, or before; undefined: it goes on. */
  instead: (command: GroupCommand) => CommandOutcome | undefined = () => undefined;
  /** What a command waits for. */
  wait: (command: GroupCommand) => Promise<void> | undefined = () => undefined;
  /** Called while a storage is asked for its room. */
  meanwhile: () => void = () => {};
  disks = this.again();
  #version = 0;

  constructor() {
    opened.push(this.root);
    this.put('.members', '{ "nodename": "pve1" }');
    this.put('storage.cfg', 'lvmthin: local-lvm\n\tthinpool data\n');
    this.write(104, WEB);
  }

  put(name: string, text: string): void {
    const path = join(this.root, 'etc/pve', name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  get #directory(): string {
    return join(this.root, 'etc/pve/nodes/pve1/lxc');
  }

  /** A configuration; undefined: it goes. */
  write(vmid: number, text: string | undefined): void {
    const path = `nodes/pve1/lxc/${vmid}.conf`;
    if (text === undefined) rmSync(join(this.#directory, `${vmid}.conf`));
    else this.put(path, text);
    this.list();
  }

  list(): void {
    const here = readdirSync(this.#directory).map((name) => Number.parseInt(name, 10));
    const rows = [
      ...here.map((id) => [id, { node: 'pve1', type: 'lxc', version: ++this.#version }] as const),
      ...[...this.elsewhere].map((id) => [id, { node: 'pve2', type: 'lxc', version: 1 }] as const),
    ];
    this.put('.vmlist', JSON.stringify({ version: 1, ids: Object.fromEntries(rows) }));
  }

  conf(vmid: number): string {
    return readFileSync(join(this.#directory, `${vmid}.conf`), 'utf8');
  }

  edit(vmid: number, change: (text: string) => string): void {
    this.write(vmid, change(this.conf(vmid)));
  }

  get ledgerPath(): string {
    return this.paths.ledger('_clones-of-pve1');
  }

  get clones(): { readonly vmid: number; readonly state: string; readonly nonce: string }[] {
    return JSON.parse(readFileSync(this.ledgerPath, 'utf8')).members;
  }

  get kinds(): string[] {
    return this.commands.map(({ kind, vmid }) => `${kind} ${vmid}`);
  }

  ask(wish: object, how: { readonly dryRun?: boolean; readonly confirmed?: boolean } = {}) {
    const { dryRun = false, confirmed = true } = how;
    return this.disks.ask(wish as DiskWish, 'api:test', { dryRun, confirmed });
  }

  /** The program is started anew. */
  again(): Disks {
    this.disks = new Disks(this.#world());
    return this.disks;
  }

  #world(): DiskWorld {
    const { paths } = this;
    const cluster = createCluster(paths);
    const say = (text: string | (() => string)): void => {
      this.lines.push(typeof text === 'string' ? text : text());
    };
    return {
      node: 'pve1',
      cluster,
      ledgers: createLedgers(paths),
      clock: {
        wallMs: () => milliseconds(this.nowS * 1000),
        monotonicMs: () => milliseconds(0),
      },
      guests: { quorum: () => present(true) } as DiskWorld['guests'],
      journal: {
        record: (event) => this.events.push(event) > 0,
        problem: () => this.journalProblem,
      },
      log: { debug: say, info: say, warn: say, error: say },
      backups: {
        write: ({ content }) => {
          this.backups.push(Buffer.from(content).toString('utf8'));
          return { ok: true, path: 'backup' };
        },
      },
      eyes: {
        isIdFree: async () => present(true),
        storageRooms: async () => {
          this.meanwhile();
          const much = { freeMib: mib(1_000_000), thin: true, sourceUsedMib: undefined };
          return (storage) => present(this.rooms[storage] ?? much);
        },
      },
      hands: { run: (command) => this.#run(command) },
      look: async () => this.blind,
      guestNow: (vmid) => readGuestNow(paths, vmid),
      runs: ({ config }) => (this.unknown ? undefined : this.running.has(config.vmid)),
      nonce: () => '0123456789abcdef'.repeat(2),
      room: () => this.room,
      whyNotGiven: (config, most) =>
        most > config.memoryMib + 1000 ? `${most} MB are too many` : undefined,
      ignored: () => undefined,
      leftAlone: () => this.leftAlone,
      isSource: () => false,
    };
  }

  async #run(command: GroupCommand): Promise<CommandOutcome> {
    this.commands.push(command);
    this.kept.push(this.disks.comingMib);
    const outcome = this.instead(command);
    if (outcome !== undefined) return outcome;
    await this.wait(command);
    return this.does(command);
  }

  /** What Proxmox VE does. */
  does(command: GroupCommand): CommandOutcome {
    const { vmid } = command;
    switch (command.kind) {
      case 'snapshot': {
        const [live = ''] = this.conf(vmid).split(/\n\[/);
        const section = `\n[${command.name}]\n${live}\nsnaptime: 1700000000\n`;
        this.edit(vmid, (text) => text + section);
        break;
      }
      case 'delete-snapshot':
        this.edit(vmid, (text) => text.replace(new RegExp(`\\n\\[${command.name}\\][^[]*`), ''));
        break;
      case 'clone': {
        const [live = ''] = this.conf(command.source).split(/\n\[/);
        const about = command.description.split('\n').map((line) => `#${encodeURIComponent(line)}`);
        const text = live
          .replaceAll('vm-104-', `vm-${vmid}-`)
          .replace('00:00:04', `00:00:${vmid % 100 < 10 ? '0' : ''}${vmid % 100}`)
          .replace(/^hostname: .*$/m, `hostname: ${command.hostname}`);
        this.write(vmid, `${about.join('\n')}\n${text}`);
        break;
      }
      case 'set':
        for (const [key, value] of command.set) {
          this.edit(vmid, (text) =>
            text.replace(new RegExp(`^${key}: .*$`, 'm'), `${key}: ${value}`),
          );
        }
        break;
      case 'start':
        this.running.add(vmid);
        break;
      case 'shutdown':
        this.running.delete(vmid);
        break;
      case 'destroy':
        this.write(vmid, undefined);
        break;
      case 'resize':
      case 'rollback':
      case 'unlock':
    }
    return DONE;
  }
}
