import { cpSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import type { SimulatedNode } from '../../src/sim/node.ts';
import { proxyServer } from '../notify/proxy-server.ts';
import { BootedTree, type Outcome, prepareTools, run, type Suite } from './booted-tree.ts';
import { layNode, setsOf } from './node-in-tree.ts';
import { calm, hungry } from './node-under-test.ts';
import { ReleaseServer } from './release-server.ts';

/**
 * From nothing to the first explained decision, by each way that the README names, and with what
 * goes wrong on the way. Every test begins on a node without Node and without the program.
 */

const MINUTES = 60_000;
const CHECKOUT = new URL('../..', import.meta.url).pathname;
const LIB = '/usr/local/lib/lxc_autoscale';
const CONFIG = '/etc/lxc_autoscale/lxc_autoscale.yaml';

let releases: ReleaseServer;
let unfit: string | undefined;
const figures: string[] = [];

beforeAll(async () => {
  unfit = await prepareTools();
  for (const tool of ['gpg', 'ssh-keygen', 'dpkg-deb']) {
    const found = await run('bash', ['-c', `command -v ${tool}`]);
    if (found.code !== 0) unfit ??= `there is no ${tool}`;
  }
  if (unfit !== undefined) return;
  releases = await ReleaseServer.start();
  await makeSigned();
}, 5 * MINUTES);

afterAll(async () => {
  await releases?.close();
  if (figures.length > 0) process.stdout.write(`${figures.join('\n')}\n`);
});

const sh = async (script: string): Promise<void> => {
  const { code, stdout, stderr } = await run('bash', ['-euc', script]);
  if (code !== 0) throw new Error(`${script}\n${stdout}\n${stderr}`);
};

/** signed: by the key that its installer has. forged: by another. apt: a repository. */
async function makeSigned(): Promise<void> {
  const at = (name: string): string => join(releases.directory, name);
  mkdirSync(at('gpg'), { mode: 0o700 });
  const key = (name: string): string => `ssh-keygen -q -t ed25519 -N '' -C '' -f ${at(name)}`;
  const release = `bash ${CHECKOUT}/tools/release.sh --url ${releases.url('signed')}`;
  await sh(`${key('key')}; ${key('other')}; ${release} --out ${at('signed')} --key ${at('key')}`);
  cpSync(at('signed'), at('forged'), { recursive: true });
  const sign = `ssh-keygen -q -Y sign -f ${at('other')} -n lxc-autoscale`;
  await sh(`rm ${at('forged')}/SHA256SUMS.sig; ${sign} ${at('forged')}/SHA256SUMS`);
  const repository = `--gpg-key t@example.org --from ${at('signed')} --out ${at('apt')}`;
  await sh(`export GNUPGHOME=${at('gpg')}
    gpg --batch --quiet --passphrase '' --quick-gen-key t@example.org ed25519 sign never
    bash ${CHECKOUT}/tools/release-apt.sh ${repository}; gpgconf --kill all`);
}

/** The ways of the README and of docs/install.md, each as an administrator types it. */
const waysOf = (): Readonly<Record<string, readonly string[]>> => {
  const url = releases.url('signed');
  const [deb] = readdirSync(join(releases.directory, 'signed')).filter((it) => it.endsWith('deb'));
  const archive = `lxc-autoscale-${releases.version}`;
  const list = '/etc/apt/sources.list.d/lxc-autoscale.list';
  const asc = '/etc/apt/keyrings/lxc-autoscale.asc';
  return {
    'curl | bash': [`curl -fsSL --proto-redir =https ${url}/install.sh | bash`],
    'one file': [`curl -fsSLO ${url}/lxc-autoscale.run`, 'sh lxc-autoscale.run install'],
    'tar.gz': [
      `curl -fsSL ${url}/${archive}.tar.gz | tar xz --no-same-owner`,
      `${archive}/install.sh`,
    ],
    '.deb': [`curl -fsSLO ${url}/${deb}`, `apt-get install --yes ./${deb}`],
    apt: [
      `curl -fsSL ${releases.url('apt')}/lxc-autoscale.asc -o ${asc}`,
      `echo 'deb [signed-by=${asc}] ${releases.url('apt')} ./' >${list}`,
      'apt-get update',
      'apt-get install --yes lxc-autoscale',
    ],
  };
};

/** What `explain` says of a container that would get memory, in observe mode. */
const EXPLAINED = "lxc-autoscale explain 102 | grep 'would go from 1024 to 1536 MB'";
const SUITES: readonly Suite[] = ['bookworm', 'trixie'];

/** As it was before, but for the package lists. */
const NOTHING = `
export DEBIAN_FRONTEND=noninteractive
if [ -e ${LIB}/current ]; then ${LIB}/current/uninstall.sh --purge --yes; fi
dpkg-query --show lxc-autoscale && apt-get purge --yes --quiet=2 lxc-autoscale
dpkg-query --show nodejs && apt-get purge --yes --quiet=2 nodejs
apt-get autoremove --purge --yes --quiet=2
apt-get clean
rm -rf /etc/lxc_autoscale /var/lib/lxc_autoscale /var/log/lxc_autoscale* /opt/lxc-autoscale*
rm -f /etc/apt/sources.list.d/lxc-autoscale.list /etc/apt/keyrings/lxc-autoscale.asc
`;

describe.each(SUITES)('on a fresh Debian %s', (suite) => {
  let made: BootedTree | undefined;
  let node: SimulatedNode | undefined;

  beforeAll(async () => {
    if (unfit !== undefined) return;
    made = await BootedTree.create(suite, ['systemd-sysv', 'dbus', 'curl', 'openssh-client']);
    node = await layNode(made, [calm(101), hungry(102)]);
    await made.boot();
    await made.must('systemctl enable --now --quiet pve-cluster; mkdir -p /etc/apt/keyrings');
    await made.must('apt-get update --quiet=2');
  }, 10 * MINUTES);

  afterAll(async () => {
    await made?.close();
    await node?.close();
  }, MINUTES);

  const fresh = async (context: TestContext): Promise<BootedTree> => {
    if (made === undefined) return context.skip(unfit ?? 'the tree could not be made');
    await made.sh(NOTHING);
    expect((await made.sh('type -P node lxc-autoscale')).stdout).toBe('');
    return made;
  };

  const left = async (tree: BootedTree): Promise<string[]> => {
    const places = '/etc /usr /opt /var/lib';
    const found = `find ${places} -xdev -path /var/lib/apt -prune -o -path /var/lib/dpkg -prune`;
    return (await tree.must(`${found} -o -print`)).split('\n').sort();
  };

  it.for(['curl | bash', 'one file', 'tar.gz', '.deb', 'apt'])(
    'comes by %s, and explains its first decision',
    { timeout: 6 * MINUTES },
    async (way, context) => {
      const tree = await fresh(context);
      const sets = setsOf(node as SimulatedNode).length;
      const commands = waysOf()[way] ?? [];
      const startMs = performance.now();
      let said = '';
      for (const command of commands) said = await tree.must(`cd /opt; ${command} 2>&1`);
      const installedMs = performance.now();
      await tree.until(EXPLAINED);
      const endMs = performance.now();
      // Whoever installs it reads in the last lines what it would do, and what to type.
      expect(said).toMatch(/OBSERVE MODE: nothing is changed\. If it were active: 1 container/);
      expect(said).toMatch(/First CPU figures at \d\d:\d\d/);
      expect(said).toContain('lxc-autoscale status');
      expect(said).toContain('lxc-autoscale activate');
      expect(setsOf(node as SimulatedNode)).toHaveLength(sets);
      const seconds = [installedMs - startMs, endMs - startMs].map((ms) => (ms / 1000).toFixed(1));
      const [installed, explained] = seconds;
      figures.push(
        `${suite}: ${way}: ${commands.length} commands, installed in ${installed} s, ` +
          `explained after ${explained} s`,
      );
    },
  );

  describe('changes nothing', () => {
    const refused = async (
      context: TestContext,
      scriptOf: () => string,
      complaint: RegExp,
    ): Promise<Outcome> => {
      const tree = await fresh(context);
      // Node is not what is tried here, but where it is.
      const had = await left(tree);
      // There are no releases where there is no tree.
      const outcome = await tree.sh(scriptOf());
      expect(outcome.stderr).toMatch(complaint);
      expect(await left(tree)).toEqual(had);
      return outcome;
    };

    it('where the address has no such page', async (context) => {
      const script = () => `set -o pipefail; curl -fsSL ${releases.url('none')}/install.sh | bash`;
      const { code } = await refused(context, script, /curl: .*404/);
      expect(code).toBe(22);
    });

    it('without network, and says what could not be had', async (context) => {
      const script = () =>
        `curl -fsSL ${releases.url('signed/install.sh')} >/tmp/i.sh; ` +
        'apt-get clean; unshare --net bash /tmp/i.sh';
      const { code } = await refused(context, script, /apt-get could not install nodejs/);
      expect(code).toBe(1);
    });
  });

  it.for<[string, string, RegExp]>([
    ['the signature is wrong', 'forged', /the signature of .*forged\/SHA256SUMS is wrong/],
    ['the proxy lets nothing through', 'signed', /nodejs|could not be downloaded/],
  ])('takes nothing where %s', { timeout: 3 * MINUTES }, async (trial, context) => {
    const [what, release, complaint] = trial;
    const tree = await fresh(context);
    await tree.must(`curl -fsSL ${releases.url('signed/install.sh')} >/tmp/i.sh`);
    const proxy = what.includes('proxy') ? (await proxyServer('refuses')).port : undefined;
    const through = proxy === undefined ? '' : `http_proxy=http://127.0.0.1:${proxy}`;
    const from = `--from ${releases.url(release)}`;
    const { code, stderr } = await tree.sh(`${through} bash /tmp/i.sh ${from}`);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(complaint) });
    expect(tree.exists(CONFIG)).toBe(false);
    expect(tree.exists(`${LIB}/current`)).toBe(false);
  });

  it(
    'comes through a proxy',
    async (context) => {
      const tree = await fresh(context);
      const proxy = await proxyServer('works');
      const script = `export http_proxy=http://127.0.0.1:${proxy.port}
      curl -fsSL ${releases.url('signed/install.sh')} | bash`;
      expect(await tree.must(script)).toContain('is installed and running');
      const asked = proxy.asked.filter((line) => line.includes('/signed/'));
      expect(asked.join('\n')).toMatch(/SHA256SUMS\.sig[\s\S]*\.tar\.gz$/m);
      await tree.until(EXPLAINED);
    },
    3 * MINUTES,
  );
});
