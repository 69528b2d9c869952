import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PATIENCE_MS } from '../patience.ts';
import { hearing } from './node-under-test.ts';

/**
 * The image, built as `deploy/Dockerfile` says by buildah on a base of Debian's packages, and run
 * as a command line of `docker run` says: by namespaces and chroot, since there is no Docker here.
 */

const CHECKOUT = new URL('../..', import.meta.url).pathname;
/** Debian 12, as `debian:12-slim` is. */
const SUITE = 'bookworm';
const BASE = 'localhost/base';

/** Why the image cannot be built on this machine; undefined: it can. */
export function whyNoImage(): string | undefined {
  if (process.env['IMAGE_TEST'] === undefined) return 'it takes minutes: npm run test:image';
  if (process.getuid?.() !== 0) return 'only root can build an image';
  for (const program of ['buildah', 'debootstrap', 'unshare']) {
    const { error } = spawnSync(program, ['--version']);
    if (error !== undefined) return `there is no ${program}; apt-get install ${program}`;
  }
  const { status } = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'x', '/mnt']);
  return status === 0 ? undefined : 'no file system can be mounted here';
}

/** What the image says of itself; the names are those of OCI. */
interface ImageConfig {
  readonly User: string;
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly Volumes: Readonly<Record<string, object>>;
  readonly StopSignal: string;
  readonly Healthcheck: { readonly Test: readonly string[] };
}

export class ImageUnderTest {
  readonly config: ImageConfig;
  readonly #directory: string;
  readonly #root: string;

  private constructor(directory: string, root: string, config: ImageConfig) {
    this.#directory = directory;
    this.#root = root;
    this.config = config;
  }

  /** Takes two minutes: most of it are Debian's packages. */
  static async build(): Promise<ImageUnderTest> {
    const directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-image-'));
    const buildah = (...args: string[]) => must('buildah', [...storageOf(directory), ...args]);
    const base = join(directory, 'base');
    await must('debootstrap', ['--variant=minbase', SUITE, base]);
    const from = await buildah('from', 'scratch');
    await buildah('add', '--quiet', from, base, '/');
    await buildah('commit', '--quiet', '--rm', from, BASE);
    rmSync(base, { recursive: true, force: true });
    await buildah(
      ...['build', '--isolation', 'chroot', '--format', 'docker', '--pull-never', '--quiet'],
      ...['--build-arg', `BASE=${BASE}`, '--ignorefile', 'deploy/Dockerfile.dockerignore'],
      ...['--file', 'deploy/Dockerfile', '--tag', 'lxc_autoscaler', '.'],
    );
    const container = await buildah('from', '--pull-never', 'lxc_autoscaler');
    const root = await buildah('mount', container);
    const inspected = JSON.parse(await buildah('inspect', '--type', 'image', 'lxc_autoscaler'));
    return new ImageUnderTest(directory, root, inspected.Docker.config);
  }

  async remove(): Promise<void> {
    await must('buildah', [...storageOf(this.#directory), 'unmount', '--all']);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /**
   * Starts what follows `docker run` in a command line. An anonymous volume or a named one is made
   * below `volumes`, with the owner that the image gives it, as Docker does.
   */
  run(line: readonly string[], volumes: string): RunningContainer {
    const { env, mounts, command, isReadOnly } = parsed(line);
    const places = new Map(mounts.map(([from, to, mode]) => [to, { from, mode }]));
    for (const to of Object.keys(this.config.Volumes)) {
      if (!places.has(to)) places.set(to, { from: 'anonymous', mode: undefined });
    }
    const steps = [...places].flatMap(([to, { from, mode }]) => {
      const source = from.startsWith('/') ? from : join(volumes, from);
      if (!from.startsWith('/')) copyEmpty(join(this.#root, to), source);
      mkdirSync(join(this.#root, to), { recursive: true });
      return [source, join(this.#root, to), mode ?? 'rw'];
    });
    const access = isReadOnly ? 'ro' : 'rw';
    const inside = this.#inside([...this.config.Env, ...env]);
    const { Entrypoint, Cmd } = this.config;
    const argv = [...inside, ...Entrypoint, ...(command.length > 0 ? command : Cmd)];
    const script = join(volumes, 'start.sh');
    writeFileSync(script, START);
    const all = [script, this.#root, access, `${steps.length / 3}`, ...steps, ...argv];
    const child = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', ...all]);
    return new RunningContainer(child, inside);
  }

  /** As the user of the image, without any right of root. */
  #inside(env: readonly string[]): readonly string[] {
    const [uid = '', gid = ''] = this.config.User.split(':');
    return [
      'chroot',
      this.#root,
      'setpriv',
      `--reuid=${uid}`,
      `--regid=${gid}`,
      '--clear-groups',
      '--bounding-set=-all',
      '--inh-caps=-all',
      '--no-new-privs',
      'env',
      '-i',
      ...env,
    ];
  }
}

export class RunningContainer {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  readonly said: ReturnType<typeof hearing>;
  readonly #inside: readonly string[];

  constructor(child: ChildProcess, inside: readonly string[]) {
    this.child = child;
    this.ended = new Promise((resolve) => child.once('close', resolve));
    this.said = hearing(child);
    this.#inside = inside;
  }

  /** `docker exec`. */
  exec(...command: string[]): Promise<{ code: number | null; out: string }> {
    const there = ['--target', `${this.child.pid}`, '--mount', '--'];
    const child = spawn('nsenter', [...there, ...this.#inside, ...command]);
    const said = hearing(child);
    return new Promise((resolve) => {
      child.once('close', (code) => resolve({ code, out: said().stdout + said().stderr }));
    });
  }

  async kill(): Promise<void> {
    if (this.child.exitCode === null) this.child.kill('SIGKILL');
    await this.ended;
  }
}

/** Root, its access, and the number of mounts, each with source, target and mode; the command. */
const START = `set -e
root=$1 access=$2 count=$3
shift 3
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -o remount,bind,"$access" "$root"
while [ "$count" -gt 0 ]; do
  mount --bind "$1" "$2"
  mount -o remount,bind,"$3" "$2"
  shift 3
  count=$((count - 1))
done
cd /
exec "$@"
`;

const storageOf = (directory: string): readonly string[] => [
  '--storage-driver',
  'vfs',
  '--root',
  join(directory, 'store'),
  '--runroot',
  join(directory, 'run'),
];

/** What it prints. */
function must(file: string, args: readonly string[]): Promise<string> {
  const options = { cwd: CHECKOUT, timeout: 4 * PATIENCE_MS, maxBuffer: 64 * 1024 * 1024 };
  return new Promise((resolve, reject) => {
    execFile(file, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout.trim());
      reject(new Error(`${file} ${args.join(' ')}: ${stderr.slice(-2000)}`));
    });
  });
}

/** A directory with the owner and the mode of the one in the image. */
function copyEmpty(of: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const program of ['chown', 'chmod']) spawnSync(program, ['--reference', of, to]);
}

/** These say nothing that could be seen here. */
const WITH_VALUE = new Set([
  '--name',
  '--restart',
  '--stop-timeout',
  '--cap-drop',
  '--security-opt',
  '--memory',
  '--cpus',
  '--log-driver',
  '--log-opt',
  '--user',
]);
const WITHOUT = new Set(['-d', '--detach', '--rm', '--init']);

interface RunLine {
  readonly env: readonly string[];
  readonly mounts: readonly (readonly [from: string, to: string, mode: string | undefined])[];
  readonly isReadOnly: boolean;
  readonly command: readonly string[];
}

/** What follows `docker run`, as far as these tests have it; throws on anything else. */
function parsed(line: readonly string[]): RunLine {
  const env: string[] = [];
  const mounts: RunLine['mounts'][number][] = [];
  let isReadOnly = false;
  const words = line.flatMap((word) =>
    /^--[a-z-]+=/.test(word) ? [word.split('=', 1)[0] ?? '', word.replace(/^[^=]*=/, '')] : [word],
  );
  let place = 0;
  for (; words[place]?.startsWith('-'); place++) {
    const [option = '', value = ''] = words.slice(place);
    if (WITHOUT.has(option)) continue;
    if (option === '--read-only') {
      isReadOnly = true;
      continue;
    }
    place += 1;
    if (option === '-e' || option === '--env') env.push(value);
    else if (option === '-v' || option === '--volume') mounts.push(mountOf(value));
    else if (!WITH_VALUE.has(option)) throw new Error(`docker run has ${option}, not known here`);
  }
  if (words[place] !== 'lxc_autoscaler') throw new Error(`there is no image in ${line.join(' ')}`);
  return { env, mounts, isReadOnly, command: words.slice(place + 1) };
}

/** `FROM:TO[:MODE]`, or a place alone, which gets an anonymous volume. */
function mountOf(value: string): RunLine['mounts'][number] {
  const [from = '', to, mode] = value.split(':');
  return to === undefined
    ? [`anonymous${from.replaceAll('/', '-')}`, from, mode]
    : [from, to, mode];
}
