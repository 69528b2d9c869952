import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

/**
 * `/etc/pve` of a node that stands alone or in a cluster: configurations, the links to them, and
 * the small files in which pmxcfs says what changed. A write raises the guest's version in
 * `.vmlist`, also one that changes nothing.
 */

const STORAGE_CFG = `dir: local
\tpath /var/lib/vz
\tcontent iso,vztmpl,backup,rootdir,images,snippets

lvmthin: local-lvm
\tthinpool data
\tvgname pve
\tcontent rootdir,images
`;

export interface ForeignGuest {
  readonly vmid: number;
  readonly node: string;
  readonly type: 'lxc' | 'qemu';
}

export interface PveFilesOptions {
  readonly sysroot: string;
  readonly node: string;
  readonly startTimeS: number;
  /** Guests of other nodes and virtual machines: they stand in `.vmlist` too. */
  readonly foreign: readonly ForeignGuest[];
}

export class PveFiles {
  readonly #root: string;
  readonly #options: PveFilesOptions;
  readonly #versions = new Map<number, number>();
  /** Virtual machines of this node. */
  readonly #vms = new Set<number>();
  /** One counter for all guests, as pmxcfs has it. */
  #lastVersion = 0;
  #listVersion = 1;
  #startTimeS: number;
  /** undefined: it stands alone. */
  #quorate: boolean | undefined;
  #runs = true;

  constructor(options: PveFilesOptions) {
    this.#options = options;
    this.#startTimeS = options.startTimeS;
    this.#root = join(options.sysroot, 'etc/pve');
    const home = join(this.#root, 'nodes', options.node);
    mkdirSync(join(home, 'lxc'), { recursive: true });
    mkdirSync(join(home, 'qemu-server'), { recursive: true });
    mkdirSync(join(this.#root, 'priv'), { mode: 0o700 });
    symlinkSync(`nodes/${options.node}/lxc`, join(this.#root, 'lxc'));
    symlinkSync(`nodes/${options.node}`, join(this.#root, 'local'));
    symlinkSync(`nodes/${options.node}/qemu-server`, join(this.#root, 'qemu-server'));
    writeFileSync(join(this.#root, 'storage.cfg'), STORAGE_CFG);
    writeFileSync(join(this.#root, 'user.cfg'), 'user:root@pam:1:0::::::\n');
    this.#writeMembers();
    for (const guest of options.foreign) this.#versions.set(guest.vmid, ++this.#lastVersion);
    this.#writeLists();
  }

  /** Whether pve-cluster runs. While it does not, `/etc/pve` is an empty directory. */
  get runs(): boolean {
    return this.#runs;
  }

  /** undefined: it stands alone. */
  get quorate(): boolean | undefined {
    return this.#quorate;
  }

  /** Without quorum everything can be read and nothing written, also by root. */
  get canWrite(): boolean {
    return this.#runs && this.#quorate !== false;
  }

  /** Makes the node one of a cluster of two, with or without quorum; undefined: it stands alone. */
  setQuorum(quorate: boolean | undefined): void {
    this.#quorate = quorate;
    this.#writeMembers();
    this.#setModes(this.#root);
  }

  /** pve-cluster is stopped: what it showed is gone. */
  stop(): void {
    if (!this.#runs) return;
    renameSync(this.#root, this.#aside);
    mkdirSync(this.#root);
    this.#runs = false;
  }

  /** It comes up again: versions begin anew, in another order than they were made in. */
  start(startTimeS: number): void {
    if (!this.#runs) {
      rmSync(this.#root, { recursive: true });
      renameSync(this.#aside, this.#root);
    }
    this.#runs = true;
    this.#startTimeS = startTimeS;
    this.#lastVersion = 0;
    this.#listVersion = 1;
    for (const vmid of [...this.#versions.keys()].reverse()) {
      this.#versions.delete(vmid);
      this.#versions.set(vmid, ++this.#lastVersion);
    }
    this.#writeLists();
  }

  get #aside(): string {
    return `${this.#root}.stopped`;
  }

  /** The notes of the datacenter. */
  notes = '';

  /** The path of a configuration as error messages give it, relative to `/etc/pve`. */
  relativePath(vmid: number): string {
    return `nodes/${this.#options.node}/lxc/${vmid}.conf`;
  }

  path(vmid: number): string {
    return join(this.#root, this.relativePath(vmid));
  }

  vmids(): number[] {
    const others = new Set([...this.#vms, ...this.#options.foreign.map(({ vmid }) => vmid)]);
    return [...this.#versions.keys()].filter((id) => !others.has(id)).sort((a, b) => a - b);
  }

  /** Every id that is taken in the cluster. */
  takenIds(): ReadonlySet<number> {
    return new Set(this.#versions.keys());
  }

  /** What stands in the file now, or undefined if there is none. */
  read(vmid: number): string | undefined {
    try {
      return readFileSync(this.path(vmid), 'utf8');
    } catch {
      return undefined;
    }
  }

  /** The configurations that were there when the node booted; the list begins with version 1. */
  load(configurations: ReadonlyMap<number, string>): void {
    for (const [vmid, text] of configurations) {
      this.#replace(this.path(vmid), text);
      this.#versions.set(vmid, ++this.#lastVersion);
    }
    this.#writeLists();
  }

  /** Writes by temporary file and rename, as pmxcfs replaces a whole file. */
  write(vmid: number, text: string): void {
    this.#replace(this.path(vmid), text);
    this.#versions.set(vmid, ++this.#lastVersion);
    this.#listVersion += 1;
    this.#writeLists();
  }

  relativeVmPath(vmid: number): string {
    return `nodes/${this.#options.node}/qemu-server/${vmid}.conf`;
  }

  /** The configuration of a virtual machine; undefined: there is none. */
  readVm(vmid: number): string | undefined {
    try {
      return readFileSync(join(this.#root, this.relativeVmPath(vmid)), 'utf8');
    } catch {
      return undefined;
    }
  }

  /** New or changed. */
  writeVmText(vmid: number, text: string): void {
    this.#replace(join(this.#root, this.relativeVmPath(vmid)), text);
    this.#vms.add(vmid);
    this.#versions.set(vmid, ++this.#lastVersion);
    this.#listVersion += 1;
    this.#writeLists();
  }

  /** What pvestatd has told last of virtual machines. */
  writeRrd(text: string): void {
    if (this.#runs) writeFileSync(join(this.#root, '.rrd'), text);
  }

  remove(vmid: number): void {
    rmSync(this.path(vmid), { force: true });
    if (this.#vms.delete(vmid))
      rmSync(join(this.#root, this.relativeVmPath(vmid)), { force: true });
    this.#versions.delete(vmid);
    this.#listVersion += 1;
    this.#writeLists();
  }

  #writeMembers(): void {
    const { node } = this.#options;
    const quorate = this.#quorate === false ? 0 : 1;
    const cluster = `"cluster": { "name": "lab", "version": 2, "nodes": 2, "quorate": ${quorate} }`;
    const own = `"${node}": { "id": 1, "online": 1, "ip": "10.0.2.15"}`;
    const other = `"${node}x": { "id": 2, "online": ${quorate}}`;
    const clustered = `"version": 3,\n${cluster},\n"nodelist": {\n  ${own},\n  ${other}\n  }`;
    const rest = this.#quorate === undefined ? '"version": 0' : clustered;
    const text = `{\n"nodename": "${node}",\n${rest}\n}\n`;
    writeFileSync(join(this.#root, '.members'), text);
  }

  #setModes(path: string): void {
    const { mode } = lstatSync(path);
    if (lstatSync(path).isSymbolicLink()) return;
    chmodSync(path, this.#quorate === false ? mode & 0o555 : mode | 0o200);
    if (!lstatSync(path).isDirectory()) return;
    for (const name of readdirSync(path)) this.#setModes(join(path, name));
  }

  #replace(path: string, text: string): void {
    const temporary = `${path}.tmp.1`;
    writeFileSync(temporary, text, { mode: 0o640 });
    renameSync(temporary, path);
  }

  #writeLists(): void {
    const foreign = new Map(this.#options.foreign.map((guest) => [guest.vmid, guest]));
    const rows = [...this.#versions].map(([vmid, version]) => {
      const node = foreign.get(vmid)?.node ?? this.#options.node;
      const type = this.#vms.has(vmid) ? 'qemu' : (foreign.get(vmid)?.type ?? 'lxc');
      return `"${vmid}": { "node": "${node}", "type": "${type}", "version": ${version} }`;
    });
    const ids = rows.length === 0 ? '\n' : `\n${rows.join(',\n')}`;
    const list = `{\n"version": ${this.#listVersion},\n"ids": {${ids}}\n\n}\n`;
    this.#replace(join(this.#root, '.vmlist'), list);
    const start = `"starttime": ${this.#startTimeS}`;
    const versions = `"vmlist": ${this.#listVersion},\n"storage.cfg": 1,\n"user.cfg": 1`;
    this.#replace(join(this.#root, '.version'), `{\n${start},\n"clinfo": 0,\n${versions}\n}\n`);
  }
}
