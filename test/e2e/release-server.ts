import { createHash } from 'node:crypto';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LAB_FILE, MAIN_FILE, MORE_FILE } from '../../tools/build/bundles.ts';
import { run } from './booted-tree.ts';

/** Releases of the program as built, and such as no one should install, on a loopback server. */

const CHECKOUT = new URL('../..', import.meta.url).pathname;
/** Ends the daemon at once, and leaves every other command as it is. */
const NO_DAEMON = "if(process.argv.includes('daemon'))process.exit(1);\n";

export class ReleaseServer {
  readonly directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-releases-'));
  readonly version: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.version = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')).version;
  }

  static async start(): Promise<ReleaseServer> {
    const server = createServer((request, response) => {
      const file = join(releases.directory, join('/', request.url ?? ''));
      try {
        if (!statSync(file).isFile()) throw new Error('no file');
        response.end(readFileSync(file));
      } catch {
        response.statusCode = 404;
        response.end('not found\n');
      }
    });
    const releases = new ReleaseServer(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    await releases.#make();
    return releases;
  }

  url(name: string): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${name}`;
  }

  /**
   * good: as built. next: a later version. broken: one whose daemon ends at once. truncated: half
   * of it. forged: another one in its place.
   */
  async #make(): Promise<void> {
    await must('bash', [
      join(CHECKOUT, 'tools/release.sh'),
      '--out',
      join(this.directory, 'good'),
      '--url',
      this.url('good'),
    ]);
    await this.#variant('next', '9.0.1', (bundle) => bundle);
    await this.#variant('broken', '9.0.2', (bundle) =>
      bundle.replace(/^(#!.*\n)?/, (shebang) => shebang + NO_DAEMON),
    );
    this.#spoiled('truncated', (archive) => archive.subarray(0, archive.length / 2));
    const other = join(this.directory, 'next/lxc-autoscale-9.0.1.tar.gz');
    this.#spoiled('forged', () => readFileSync(other));
  }

  async #variant(name: string, version: string, change: (bundle: string) => string): Promise<void> {
    const to = join(this.directory, name);
    const files = join(to, `lxc-autoscale-${version}`);
    mkdirSync(files, { recursive: true });
    const archive = join(this.directory, 'good', `lxc-autoscale-${this.version}.tar.gz`);
    await must('tar', ['xzf', archive, '-C', files, '--strip-components=1']);
    for (const [name, changed] of [[MAIN_FILE, change], [MORE_FILE], [LAB_FILE]] as const) {
      const text = readFileSync(join(files, name), 'utf8');
      const numbered = text.replaceAll(`"${this.version}"`, `"${version}"`);
      writeFileSync(join(files, name), changed?.(numbered) ?? numbered);
    }
    writeFileSync(join(files, 'VERSION'), `${version}\n`);
    const made = `${files}.tar.gz`;
    await must('tar', ['czf', made, '-C', to, `lxc-autoscale-${version}`]);
    const sum = createHash('sha256').update(readFileSync(made)).digest('hex');
    writeFileSync(join(to, 'lxc-autoscale.sha256'), `${sum}  lxc-autoscale-${version}.tar.gz\n`);
  }

  /** The checksum is that of the good one. */
  #spoiled(name: string, change: (archive: Buffer) => Buffer): void {
    const good = join(this.directory, 'good');
    const to = join(this.directory, name);
    mkdirSync(to);
    for (const file of readdirSync(good)) copyFileSync(join(good, file), join(to, file));
    const archive = `lxc-autoscale-${this.version}.tar.gz`;
    writeFileSync(join(to, archive), change(readFileSync(join(good, archive))));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

async function must(file: string, args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await run(file, args);
  if (code !== 0) throw new Error(`${file} ${args.join(' ')}: ${stdout}${stderr}`);
}
