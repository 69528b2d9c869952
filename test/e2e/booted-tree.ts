import { type ChildProcess, execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { LEFT_OUT } from '../only-with-all.ts';
import { PATIENCE_MS } from '../patience.ts';

/** A fresh Debian as a directory, booted with a systemd of its own. Needs root. */

export type Suite = 'bookworm' | 'trixie';

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const BOOT_LIMIT_MS = 60_000;
const COMMAND_LIMIT_MS = 240_000;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Installs what is needed for such trees. Returns why there can be none on this machine. */
export async function prepareTools(): Promise<string | undefined> {
  if (LEFT_OUT !== undefined) return LEFT_OUT;
  if (process.getuid?.() !== 0) return 'only root can boot a Debian tree';
  if (!existsSync('/usr/bin/apt-get')) return 'there is no apt-get to install debootstrap with';
  const barred = await mountedWithout();
  if (barred !== undefined) return barred;
  if (existsSync('/usr/sbin/debootstrap') && existsSync('/usr/bin/systemd-nspawn')) {
    return mirror() === undefined ? 'the package lists name no mirror of Debian' : undefined;
  }
  process.stdout.write('== installed with apt-get: debootstrap, systemd-container\n');
  const script =
    'apt-get update --quiet=2 || true; DEBIAN_FRONTEND=noninteractive ' +
    'apt-get install --yes --quiet=2 --no-install-recommends debootstrap systemd-container';
  const { code, stderr } = await run('bash', ['-c', script]);
  if (code !== 0) return `debootstrap and systemd-container could not be installed: ${stderr}`;
  return mirror() === undefined ? 'the package lists name no mirror of Debian' : undefined;
}

/** A container may have a directory for temporary files that no Debian can be installed into. */
async function mountedWithout(): Promise<string | undefined> {
  const args = ['--noheadings', '--output', 'OPTIONS', '--target', tmpdir()];
  const options = (await run('findmnt', args)).stdout.trim().split(',');
  const found = ['nodev', 'noexec'].find((option) => options.includes(option));
  return found && `${tmpdir()} is mounted ${found}; TMPDIR may name another directory`;
}

/** The one that this machine's own apt takes its packages from. */
function mirror(): string | undefined {
  const format = ['indextargets', '--format', '$(SITE)', 'Created-By: Packages', 'Origin: Debian'];
  try {
    return execFileSync('apt-get', format, { encoding: 'utf8' }).split('\n')[0] || undefined;
  } catch {
    return undefined;
  }
}

export function run(
  file: string,
  args: readonly string[],
  limitMs = COMMAND_LIMIT_MS,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const options = { timeout: limitMs, maxBuffer: 64 * 1024 * 1024 };
    const child = execFile(file, [...args], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : null;
      resolve({ code, stdout, stderr: error !== null && code === null ? `${error}` : stderr });
    });
    child.stdin?.end();
  });
}

/**
 * Boots it in namespaces of its own. systemd-nspawn is given the cgroup v2 hierarchy alone, as it
 * is on a node, also where this machine still has the older ones beside it.
 */
const BOOT = `
set -e
if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
  umount -R /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
mkdir -p "/sys/fs/cgroup/$2" /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
echo $$ >"/sys/fs/cgroup/$2/cgroup.procs"
keep=--keep-unit
if [ -d /run/systemd/system ]; then keep=; fi
exec systemd-nspawn --quiet --boot --directory="$1" --machine="$2" --register=no $keep \\
  --resolv-conf=copy-host --console=pipe
`;

export class BootedTree {
  readonly suite: Suite;
  readonly directory: string;
  readonly #parent: string;
  readonly #name: string;
  #nspawn: ChildProcess | undefined;
  #console = '';

  private constructor(suite: Suite) {
    this.suite = suite;
    this.#parent = mkdtempSync(join(tmpdir(), 'lxc-autoscale-tree-'));
    this.directory = join(this.#parent, suite);
    this.#name = `lxc-e2e-${process.pid}-${suite}`;
  }

  /** Fetches a minimal Debian, about half a minute. */
  static async create(suite: Suite, packages: readonly string[]): Promise<BootedTree> {
    const tree = new BootedTree(suite);
    const include = `--include=${packages.join(',')}`;
    const from = mirror() ?? '';
    const args = ['--variant=minbase', include, suite, tree.directory, from];
    const { code, stdout } = await run('debootstrap', args, 600_000);
    if (code !== 0) {
      const log = join(tree.directory, 'debootstrap/debootstrap.log');
      const said = existsSync(log) ? readFileSync(log, 'utf8') : stdout;
      tree.#remove();
      throw new Error(`debootstrap failed: ${said.slice(-2000)}`);
    }
    tree.write(
      'etc/apt/apt.conf.d/90proxy',
      (await run('apt-config', ['dump'])).stdout
        .split('\n')
        .filter((line) => /^Acquire::https?::proxy /i.test(line))
        .join('\n'),
    );
    return tree;
  }

  async boot(): Promise<void> {
    // Should the tests be killed, the tree is not to outlive them: with its first process goes all
    // of a namespace of process ids, and that one goes with its parent.
    const alone = ['--mount', '--propagation', 'private', '--pid', '--mount-proc', '--kill-child'];
    const dying = ['--pdeathsig', 'KILL', 'unshare', '--fork', ...alone];
    const args = [...dying, 'sh', '-c', BOOT, 'boot', this.directory, this.#name];
    const child = spawn('setpriv', args, { stdio: 'pipe' });
    this.#nspawn = child;
    const keep = (chunk: Buffer): void => {
      this.#console = `${this.#console}${chunk}`.slice(-4000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    await this.#booted();
  }

  async #booted(): Promise<void> {
    const untilMs = performance.now() + BOOT_LIMIT_MS;
    while (performance.now() < untilMs) {
      if (this.#nspawn?.exitCode !== null) break;
      const { stdout } = await this.sh('systemctl is-system-running');
      if (/^(running|degraded)/.test(stdout)) return;
      await pause(100);
    }
    throw new Error(`the tree did not boot: ${this.#console}`);
  }

  async reboot(): Promise<void> {
    const child = this.#nspawn;
    const ended = new Promise((resolve) => child?.once('exit', resolve));
    await this.sh('systemctl poweroff');
    await ended;
    await this.boot();
  }

  /** The host's process id of the tree's first process. */
  #leader(): string {
    // unshare, below it systemd-nspawn, below that the tree's own.
    return firstChild(firstChild(String(this.#nspawn?.pid)));
  }

  /** Runs a bash script inside. */
  async sh(script: string, limitMs?: number): Promise<Outcome> {
    const leader = this.#leader();
    if (leader === '') return { code: null, stdout: '', stderr: 'it does not run' };
    const enter = ['--target', leader, '--all', '--root', '--wd', 'env', '-i', `PATH=${PATH}`];
    return run('nsenter', [...enter, 'LANG=C.UTF-8', 'bash', '-c', script], limitMs);
  }

  /** The same, for what has to succeed. Returns what it prints, without the last newline. */
  async must(script: string): Promise<string> {
    const { code, stdout, stderr } = await this.sh(script);
    if (code !== 0) throw new Error(`${script}\nexit code ${code}\n${stdout}\n${stderr}`);
    return stdout.replace(/\n$/, '');
  }

  /** Until a script succeeds. */
  async until(script: string, limitMs = PATIENCE_MS): Promise<void> {
    const untilMs = performance.now() + limitMs;
    let last = await this.sh(script);
    while (last.code !== 0) {
      if (performance.now() > untilMs) {
        const log = (await this.sh('journalctl --no-pager -n 40 -o cat')).stdout;
        throw new Error(`never: ${script}\n${last.stdout}${last.stderr}\n${log}`);
      }
      await pause(200);
      last = await this.sh(script);
    }
  }

  write(path: string, text: string): void {
    const file = join(this.directory, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  program(path: string, text: string): void {
    this.write(path, text);
    execFileSync('chmod', ['755', join(this.directory, path)]);
  }

  read(path: string): string {
    return readFileSync(join(this.directory, path), 'utf8');
  }

  exists(path: string): boolean {
    return existsSync(join(this.directory, path));
  }

  names(path: string): readonly string[] {
    return this.exists(path) ? readdirSync(join(this.directory, path)).sort() : [];
  }

  async close(): Promise<void> {
    const child = this.#nspawn;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      // The first process of a tree ends with all of the tree, and systemd-nspawn after it.
      const leader = Number(this.#leader());
      if (leader > 1) process.kill(leader, 'SIGKILL');
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await ended;
      clearTimeout(timer);
    }
    this.#remove();
  }

  #remove(): void {
    for (const hierarchy of ['/sys/fs/cgroup', '/sys/fs/cgroup/unified']) {
      const group = join(hierarchy, this.#name);
      // The kernel lets no files of it be removed, only directories, the innermost first.
      if (existsSync(group)) spawnSync('find', [group, '-depth', '-type', 'd', '-delete']);
    }
    rmSync(this.#parent, { recursive: true, force: true });
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function firstChild(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0] ?? '';
  } catch {
    return '';
  }
}
