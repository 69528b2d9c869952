import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import type { SimulatedNode } from '../../src/sim/node.ts';
import { BootedTree, prepareTools, type Suite } from './booted-tree.ts';
import { configuration } from './group-under-test.ts';
import { layNode, setsOf } from './node-in-tree.ts';
import { calm, guest, hungry } from './node-under-test.ts';
import { ReleaseServer } from './release-server.ts';

/**
 * The installer, the service and the uninstaller on a fresh Debian with a real systemd and a
 * simulated node. Up to `is uninstalled` it is a story: a test goes on where the one before it has
 * ended. Those after it begin with `stage.bare`, so each can be run alone.
 */

const MINUTES = 60_000;
const LIB = '/usr/local/lib/lxc_autoscale';
const CONFIG = '/etc/lxc_autoscale/lxc_autoscale.yaml';
const OLD_INI = '/etc/lxc_autoscale/lxc_autoscale.conf';
const SERVICE = 'lxc_autoscale.service';

/** Needs less memory than it has, by far: shrinks, slowly. */
const idle = guest(103, { cores: 2, memoryMib: 4096 }, { cpuCores: 1, anonMib: 300 });

let releases: ReleaseServer;
let unfit: string | undefined;

beforeAll(async () => {
  unfit = await prepareTools();
  if (unfit === undefined) releases = await ReleaseServer.start();
}, 5 * MINUTES);

afterAll(async () => {
  await releases?.close();
});

const figures: string[] = [];
afterAll(() => {
  if (figures.length > 0) process.stdout.write(`${figures.join('\n')}\n`);
});

const BARE = `
export DEBIAN_FRONTEND=noninteractive
if [ -e ${LIB}/current ]; then ${LIB}/current/uninstall.sh --purge --yes; fi
type -P node || apt-get install --yes --quiet=2 --no-install-recommends nodejs
rm -rf /etc/lxc_autoscale /var/lib/lxc_autoscale /var/log/lxc_autoscale*
`;

class Stage {
  #tree: BootedTree | undefined;
  #node: SimulatedNode | undefined;

  async open(suite: Suite): Promise<void> {
    if (unfit !== undefined) return;
    const tree = await BootedTree.create(suite, ['systemd-sysv', 'dbus', 'curl', 'procps']);
    this.#tree = tree;
    this.#node = await layNode(tree, [calm(101), hungry(102), idle]);
    await tree.boot();
    await tree.must('systemctl enable --now --quiet pve-cluster');
  }

  async close(): Promise<void> {
    await this.#tree?.close();
    await this.#node?.close();
  }

  /** The tree; a test that cannot have one is skipped, and says why. */
  tree(context: TestContext): BootedTree {
    if (this.#tree === undefined) context.skip(unfit ?? 'the tree could not be made');
    return this.#tree as BootedTree;
  }

  /** The same with Node and nothing of the program, whatever tests before it have left. */
  async bare(context: TestContext): Promise<BootedTree> {
    const tree = this.tree(context);
    await tree.must(BARE);
    return tree;
  }

  get opened(): BootedTree {
    if (this.#tree === undefined) throw new Error('there is no tree');
    return this.#tree;
  }

  get node(): SimulatedNode {
    if (this.#node === undefined) throw new Error('there is no node');
    return this.#node;
  }
}

const piped = (release: string, options = ''): string =>
  `curl -sSL ${releases.url(`${release}/install.sh`)} | bash -s -- ${options}`;

/** From the server that has the installer, whatever the installer itself was told. */
const from = (release: string, options = ''): string =>
  piped('good', `--from ${releases.url(release)} ${options}`);

const show = async (tree: BootedTree, property: string): Promise<string> =>
  tree.must(`systemctl show --property=${property} --value ${SERVICE}`);

const versionIn = (tree: BootedTree): Promise<string> => tree.must('lxc-autoscale --version');

const isActive = async (tree: BootedTree): Promise<boolean> =>
  (await tree.sh(`systemctl is-active --quiet ${SERVICE}`)).code === 0;

/** What lies in the system, but for what changes by itself and what apt keeps for itself. */
const filesOf = async (tree: BootedTree): Promise<readonly string[]> => {
  const left = ['/var/lib/dpkg', '/var/lib/apt', '/var/cache', '/var/log', '/var/tmp']
    .map((path) => `-path ${path} -prune -o`)
    .join(' ');
  const found = await tree.must(`find /etc /usr /var /opt -xdev ${left} -print`);
  return found.split('\n').sort();
};

/** Configurations of earlier programs, where they had them, and what the report says of them. */
const EARLIER: ReadonlyArray<readonly [what: string, path: string, text: string, said: RegExp]> = [
  [
    'an INI file',
    OLD_INI,
    `[DEFAULT]

poll_interval = 2             
cpu_upper_threshold = 80         
storage_upper_threshold = 80     
behaviour = Normal
ignore_lxc = 101
gotify_url =                     
gotify_token =                   

[TIER_1]
nodes = 102, 103 
memory_upper_threshold = 90
`,
    /lxc_autoscale.conf:12: TIER_1.nodes: converted: now lxc_containers/,
  ],
  [
    "a YAML file of the Python daemon's version 1",
    CONFIG,
    `DEFAULTS:
  poll_interval: 2
  energy_mode: False
  behaviour: normal
  cpu_upper_threshold: 80
  reserve_memory_mb: 2048
  min_containers: 1
  gotify_url: http://127.0.0.1:9
  gotify_token: abcdefgh
  ignore_lxc:
    - "101"
TIER_1:
  lxc_containers:
    - "102"
  memory_upper_threshold: 90
`,
    /:1: DEFAULTS: renamed: now DEFAULT/,
  ],
  [
    "a YAML file of the Python daemon's version 2",
    CONFIG,
    `DEFAULT:
  poll_interval: 2
  memory_exclude_cache: true
  scaling_mode: boost
  boost_duration: 60
  use_remote_proxmox: false
  ssh_password: hunter2
  ignore_lxc: ["101"]
TIER_web:
  lxc_containers: ["102"]
  cpu_pinning: p-cores
`,
    /:3: DEFAULT.memory_exclude_cache: dropped: /,
  ],
];

/** Where an update can be interrupted: the commands that it runs, by the words that follow. */
const STEPS: ReadonlyArray<readonly [program: string, words: string]> = [
  ['curl', '*.tar.gz'],
  ['sha256sum', '*'],
  ['tar', '*'],
  ['chown', '*'],
  ['sync', '*'],
  ['mv', '-T *'],
  ['ln', '*'],
  ['mv', '-fT *'],
  ['mv', '*.service'],
  ['systemctl', 'daemon-reload'],
  ['systemctl', 'enable *'],
  ['systemctl', 'restart *'],
  ['sleep', '1'],
];

/** Stands before a program in PATH, and ends the installer when that calls it in this way. */
const shim = (words: string, signal: string): string => `#!/bin/bash
PATH=\${PATH#/opt/shims:}
if [[ "$*" == ${words.replaceAll(' ', '\\ ')} && ! -e /opt/shims/fired ]]; then
  touch /opt/shims/fired
  kill -${signal} "$INSTALLER"
  [[ ${signal} == TERM ]] || exit 1
fi
exec "$(basename "$0")" "$@"
`;

/** The version that the steps begin with, brought into force again by hand. */
const RESET = `
set -e
cd ${LIB}
if [ "$(readlink current)" != 9.0.1 ]; then ln -sfnT 9.0.1 current; fi
rm -rf [0-8].*
cp current/lxc_autoscale.service /etc/systemd/system/${SERVICE}
systemctl daemon-reload
main=$(systemctl show -p MainPID --value ${SERVICE})
if ! ps -o args= -p "$main" | grep -q 9.0.1; then
  systemctl restart ${SERVICE}
fi
`;

const SUITES: readonly Suite[] = ['bookworm', 'trixie'];

describe.each(SUITES)('on a fresh Debian %s', (suite) => {
  const stage = new Stage();
  let before: readonly string[] = [];
  beforeAll(async () => {
    await stage.open(suite);
    // Not in the first test, so that any of them can be run alone.
    if (unfit === undefined) before = await filesOf(stage.opened);
  }, 10 * MINUTES);
  afterAll(() => stage.close(), MINUTES);

  describe('installs nothing', () => {
    const nothingCame = async (tree: BootedTree): Promise<void> => {
      expect(await filesOf(tree)).toEqual(before);
    };

    it('without root', async (context) => {
      const tree = stage.tree(context);
      const script = `curl -sSL ${releases.url('good/install.sh')} | setpriv --reuid=65534 bash`;
      expect(await tree.sh(script)).toMatchObject({
        code: 1,
        stderr: 'install.sh: this has to be run by root, as pct has; try it with sudo\n',
      });
      await nothingCame(tree);
    });

    it.for<[string, string]>([
      ['echo pve-manager/6.4-15/af7986e6', 'Proxmox VE 7, 8 and 9 are supported'],
      ['exit 127', 'no Proxmox VE node'],
    ])('where pveversion is: %s', async ([answer, complaint], context) => {
      const tree = stage.tree(context);
      const kept = tree.read('usr/bin/pveversion');
      tree.program('usr/bin/pveversion', `#!/bin/sh\n${answer}\n`);
      const { code, stderr } = await tree.sh(piped('good'));
      tree.program('usr/bin/pveversion', kept);
      expect({ code, lines: stderr.split('\n').length }).toEqual({ code: 1, lines: 2 });
      expect(stderr).toContain(complaint);
      await nothingCame(tree);
    });

    it('where there is no space', async (context) => {
      const tree = stage.tree(context);
      await tree.must(`mkdir ${LIB}; mount -t tmpfs -o size=1M tmpfs ${LIB}`);
      const { code, stderr } = await tree.sh(piped('good'));
      await tree.must(`umount ${LIB}; rmdir ${LIB}`);
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: `install.sh: ${LIB} needs 8 MB, and 1024 KB are free\n`,
      });
      await nothingCame(tree);
    });
  });

  it(
    'installs by curl | bash, with nodejs and nothing else',
    async (context) => {
      const tree = stage.tree(context);
      const packages = 'dpkg --get-selections | cut -f 1';
      const had = new Set((await tree.must(packages)).split('\n'));
      const wanted = await tree.must(
        'apt-get install --simulate --no-install-recommends nodejs | grep -c ^Inst',
      );
      const outcome = await tree.sh(piped('good', '--no-observe'));
      expect(outcome.stderr.replace(/^debconf: delaying .*\n/gm, '')).toBe('');
      expect(outcome.code).toBe(0);
      expect(outcome.stdout).toContain(
        `lxc-autoscale ${releases.version} is installed and running`,
      );
      const added = (await tree.must(packages)).split('\n').filter((name) => !had.has(name));
      expect(added).toContain('nodejs');
      expect(added).not.toContain('npm');
      expect(added).toHaveLength(Number(wanted));
      figures.push(`${suite}: ${added.length} packages added: ${added.join(' ')}`);
    },
    5 * MINUTES,
  );

  it('runs as a service that is ready', async (context) => {
    const tree = stage.tree(context);
    expect(await show(tree, 'ActiveState')).toBe('active');
    expect(await show(tree, 'SubState')).toBe('running');
    expect(await show(tree, 'StatusText')).toContain('Last cycle');
    expect(await tree.must(`systemctl is-enabled ${SERVICE}`)).toBe('enabled');
    expect(tree.read('var/log/lxc_autoscale.log')).toContain('Started, one cycle every');
    const modes = await tree.must(
      `stat -c '%a %U' ${CONFIG} /etc/lxc_autoscale /var/lib/lxc_autoscale`,
    );
    expect(modes.split('\n')).toEqual(['640 root', '750 root', '700 root']);
    expect(await versionIn(tree)).toBe(`lxc-autoscale ${releases.version}`);
    const exec = await show(tree, 'ExecMainStartTimestampMonotonic');
    const active = await show(tree, 'ActiveEnterTimestampMonotonic');
    figures.push(`${suite}: ${(Number(active) - Number(exec)) / 1e6} s from start to active`);
    const memory = await tree.must(`ps -o rss= -p ${await show(tree, 'MainPID')}`);
    figures.push(`${suite}: ${Math.round(Number(memory) / 1024)} MB resident`);
  });

  it('scales a container and logs it', async (context) => {
    const tree = stage.tree(context);
    await tree.until(`grep -q 'Increase Memory"' /var/log/lxc_autoscale.json`);
    expect(setsOf(stage.node).some((set) => /^102 --memory/.test(set))).toBe(true);
    expect(stage.node.limits(102)?.live?.memoryMib).toBeGreaterThan(1024);
    const log = tree.read('var/log/lxc_autoscale.log');
    expect(log).not.toContain('ERROR');
    expect(log).not.toContain('Not Proven');
  });

  it('is less exposed than medium in the eyes of systemd', async (context) => {
    const tree = stage.tree(context);
    const said = await tree.must(`systemd-analyze security --no-pager ${SERVICE} | tail -n 1`);
    const score = Number(/: ([0-9.]+) /.exec(said)?.[1]);
    expect(score).toBeLessThan(5);
    figures.push(`${suite}: systemd-analyze security ${score}`);
    const verified = `systemd-analyze verify /etc/systemd/system/${SERVICE} 2>&1 || true`;
    // A minimal Debian has no `man` that could show the page.
    expect((await tree.must(verified)).replace(/^.*Command 'man .*$/m, '').trim()).toBe('');
  });

  it('has fields in its journal where that is wanted, and no line twice', async (context) => {
    const tree = stage.tree(context);
    await tree.must(`cp -p ${CONFIG} ${CONFIG}.plain`);
    const wanted =
      's/^  (log_journal_fields|log_quiet_cycles): .*/  \\1: True/; ' +
      's/^  (poll_interval): .*/  \\1: 1/';
    await tree.must(`sed -E -i '${wanted}' ${CONFIG}`);
    await tree.must('systemctl reload lxc_autoscale');
    const find = 'journalctl --no-pager -u lxc_autoscale LXC_AUTOSCALE_COMPONENT=daemon';
    await tree.until(`${find} -o cat | grep -q 'process completed'`);
    const entries = (await tree.must(`${find} -o json`)).split('\n').map((one) => JSON.parse(one));
    expect(entries[0]).toMatchObject({
      PRIORITY: '6',
      SYSLOG_IDENTIFIER: 'lxc-autoscale',
      _SYSTEMD_UNIT: SERVICE,
      SYSLOG_PID: await show(tree, 'MainPID'),
      _TRANSPORT: 'journal',
    });
    const count = `grep -c 'process completed' || true`;
    const inFile = 'grep -v "^  " /var/log/lxc_autoscale.log';
    await tree.must(`mv ${CONFIG}.plain ${CONFIG}`);
    await tree.must('systemctl reload lxc_autoscale');
    await tree.until('! pgrep -x perl');
    const journal = 'journalctl --no-pager -o cat -u lxc_autoscale';
    await tree.until(`test "$(${journal} | ${count})" = "$(${inFile} | ${count})"`);
  });

  it('reloads a good file, and refuses a broken one', async (context) => {
    const tree = stage.tree(context);
    const pid = await show(tree, 'MainPID');
    await tree.must(`sed -i 's/^  poll_interval: .*/  poll_interval: 5/' ${CONFIG}`);
    await tree.must('systemctl reload lxc_autoscale');
    await tree.until(`grep -q 'configuration was reloaded' /var/log/lxc_autoscale.log`);
    await tree.must(`cp -p ${CONFIG} ${CONFIG}.good; echo '  no_such_key: 1' >>${CONFIG}`);
    expect((await tree.sh('systemctl reload lxc_autoscale')).code).not.toBe(0);
    const journal = await tree.must('journalctl --no-pager -o cat -u lxc_autoscale');
    expect(journal).toContain('no_such_key');
    expect(await isActive(tree)).toBe(true);
    expect(await show(tree, 'MainPID')).toBe(pid);
    await tree.must(`mv ${CONFIG}.good ${CONFIG}`);
    await tree.until(`systemctl show -p SubState --value ${SERVICE} | grep -qx running`);
  });

  it(
    'comes back after kill -9',
    async (context) => {
      const tree = stage.tree(context);
      const pid = await show(tree, 'MainPID');
      await tree.must(`kill -KILL ${pid}`);
      const back = `p=$(systemctl show -p MainPID --value ${SERVICE}); [ "$p" != 0 ] &&
      [ "$p" != ${pid} ] && systemctl is-active --quiet ${SERVICE}`;
      await tree.until(back);
    },
    2 * MINUTES,
  );

  it(
    'is restarted by the watchdog when its main loop hangs',
    async (context) => {
      const tree = stage.tree(context);
      const unit = `/run/systemd/system/${SERVICE}.d/short.conf`;
      tree.sh('');
      await tree.must(
        `mkdir -p $(dirname ${unit}); printf '[Service]\\nWatchdogSec=3\\n' >${unit};` +
          `systemctl daemon-reload; systemctl restart ${SERVICE}`,
      );
      const pid = await show(tree, 'MainPID');
      // Signs of life over a longer time than the watchdog allows for silence.
      const signed = Number(await show(tree, 'WatchdogTimestampMonotonic'));
      const last = `systemctl show -p WatchdogTimestampMonotonic --value ${SERVICE}`;
      await tree.until(`[ "$(${last})" -gt ${signed + 4_000_000} ]`);
      expect(await show(tree, 'MainPID')).toBe(pid);
      expect(await show(tree, 'NRestarts')).toBe('0');
      await tree.must(`kill -STOP ${pid}`);
      const back = `p=$(systemctl show -p MainPID --value ${SERVICE}); [ "$p" != 0 ] &&
      [ "$p" != ${pid} ] && systemctl is-active --quiet ${SERVICE}`;
      await tree.until(back);
      expect(await tree.must('journalctl --no-pager -o cat -u lxc_autoscale')).toContain(
        'Watchdog timeout',
      );
      await tree.must(`rm -r $(dirname ${unit}); systemctl daemon-reload`);
    },
    2 * MINUTES,
  );

  it(
    'starts with the machine, after the cluster file system',
    async (context) => {
      const tree = stage.tree(context);
      await tree.reboot();
      await tree.until(`systemctl is-active --quiet ${SERVICE}`);
      const boot = await tree.must('systemctl show --property=UserspaceTimestampMonotonic --value');
      const active = await show(tree, 'ActiveEnterTimestampMonotonic');
      expect(await show(tree, 'NRestarts')).toBe('0');
      const seconds = (Number(active) - Number(boot)) / 1e6;
      figures.push(`${suite}: ${seconds} s from boot to the end of the first cycle`);
    },
    2 * MINUTES,
  );

  it(
    'updates a running version, and keeps an edited configuration',
    async (context) => {
      const tree = stage.tree(context);
      await tree.must(`echo '# mine' >>${CONFIG}`);
      const outcome = await tree.sh(from('next'));
      expect(outcome).toMatchObject({ code: 0, stderr: '' });
      expect(await versionIn(tree)).toBe('lxc-autoscale 9.0.1');
      expect(await isActive(tree)).toBe(true);
      expect(tree.read(CONFIG)).toMatch(/poll_interval: 5\n[\s\S]*# mine\n$/);
    },
    2 * MINUTES,
  );

  describe('a running version goes on, and its configuration stays,', () => {
    const unharmed = async (tree: BootedTree, config: string): Promise<void> => {
      expect(await isActive(tree)).toBe(true);
      expect(await versionIn(tree)).toBe('lxc-autoscale 9.0.1');
      expect(tree.read(CONFIG)).toBe(config);
      expect(tree.names(LIB).filter((name) => name.startsWith('.'))).toEqual([]);
    };

    it.for<[string, string, RegExp]>([
      ['the checksum is wrong', 'forged', /the checksum of the download is wrong/],
      ['the download is cut short', 'truncated', /the checksum of the download is wrong/],
      ['there is no such release', 'none', /none\/lxc-autoscale.sha256 could not be downloaded/],
    ])('where %s', async ([, release, complaint], context) => {
      const tree = stage.tree(context);
      const config = tree.read(CONFIG);
      const pid = await show(tree, 'MainPID');
      const { code, stderr } = await tree.sh(from(release));
      expect(code).toBe(1);
      expect(stderr).toMatch(complaint);
      await unharmed(tree, config);
      expect(await show(tree, 'MainPID')).toBe(pid);
    });

    it('where the network is gone', async (context) => {
      const tree = stage.tree(context);
      const config = tree.read(CONFIG);
      const installer = `curl -sSL ${releases.url('good/install.sh')} >/opt/install.sh`;
      await tree.must(installer);
      const { code, stderr } = await tree.sh('bash /opt/install.sh --from http://127.0.0.1:9/');
      expect(code).toBe(1);
      expect(stderr).toContain('http://127.0.0.1:9/lxc-autoscale.sha256 could not be downloaded');
      await unharmed(tree, config);
    });

    it('where the configuration does not fit the new version', async (context) => {
      const tree = stage.tree(context);
      const config = tree.read(CONFIG);
      await tree.must(`echo 'TIER_x: {lxc_containers: [1], no_such_key: 1}' >>${CONFIG}`);
      const wrong = tree.read(CONFIG);
      const { code, stdout } = await tree.sh(piped('good'));
      expect(code).toBe(1);
      expect(stdout).toContain('no_such_key');
      // It is this program's own, so a slip in it is told and not carried over.
      expect(stdout).not.toContain('earlier program');
      await unharmed(tree, wrong);
      tree.write(CONFIG, config);
    });

    it('where two installations run at once: one waits for nobody', async (context) => {
      const tree = stage.tree(context);
      const both = await Promise.all([tree.sh(from('next')), tree.sh(from('next'))]);
      expect(both.map(({ code }) => code).sort()).toEqual([0, 1]);
      const second = both.find(({ code }) => code === 1);
      expect(second?.stderr).toContain('another installation is at work');
      expect(await isActive(tree)).toBe(true);
    });

    it.for(STEPS)(
      'where it is ended at: %s %s',
      { timeout: MINUTES },
      async ([program, words], context) => {
        const tree = stage.tree(context);
        const signal = suite === 'bookworm' ? 'TERM' : 'KILL';
        await tree.must(RESET);
        const config = tree.read(CONFIG);
        tree.program(`opt/shims/${program}`, shim(words, signal));
        const script =
          `export INSTALLER=$$ PATH=/opt/shims:$PATH; exec bash /opt/install.sh ` +
          `--from ${releases.url('good')} --yes`;
        const { code } = await tree.sh(script);
        expect(tree.names('opt/shims')).toContain('fired');
        await tree.must('rm -r /opt/shims');
        expect(code).toBe(signal === 'TERM' ? 143 : null);
        await tree.until(`systemctl is-active --quiet ${SERVICE}`);
        if (signal === 'TERM') await unharmed(tree, config);
        expect(tree.read(CONFIG)).toBe(config);
        expect((await tree.sh('lxc-autoscale check-config')).code).toBe(0);
      },
    );

    it(
      'and the next run heals what an interrupted one has left',
      async (context) => {
        const tree = stage.tree(context);
        const config = tree.read(CONFIG);
        expect(await tree.sh(from('next'))).toMatchObject({ code: 0, stderr: '' });
        await unharmed(tree, config);
        await tree.must('rm /opt/install.sh');
      },
      MINUTES,
    );
  });

  it(
    'goes back from an update that does not come up',
    async (context) => {
      const tree = stage.tree(context);
      const outcome = await tree.sh(from('broken', '--overwrite-config'));
      expect(outcome.code).toBe(1);
      expect(outcome.stderr).toContain('9.0.2 did not come up');
      expect(outcome.stderr).toContain('the version before runs again');
      expect(await versionIn(tree)).toBe('lxc-autoscale 9.0.1');
      expect(await isActive(tree)).toBe(true);
      expect(tree.read(CONFIG)).toContain('# mine');
      expect(tree.names(LIB)).toEqual(expect.arrayContaining(['9.0.1', 'current']));
      expect(tree.names(LIB)).not.toContain('9.0.2');
    },
    2 * MINUTES,
  );

  it(
    'says in one line that Node is gone, or too old',
    async (context) => {
      const tree = stage.tree(context);
      const since = await tree.must("date '+%F %T'");
      await tree.must(`systemctl stop ${SERVICE}; mv /usr/bin/node /usr/bin/node.kept`);
      expect((await tree.sh(`systemctl start ${SERVICE}`)).code).not.toBe(0);
      await tree.must(
        "printf '#!/bin/sh\\necho v12.22.12\\n' >/usr/bin/node; chmod 755 /usr/bin/node",
      );
      expect((await tree.sh(`systemctl start ${SERVICE}`)).code).not.toBe(0);
      await tree.must(`mv /usr/bin/node.kept /usr/bin/node; systemctl start ${SERVICE}`);
      const said = await tree.must(
        `journalctl --no-pager -o cat --since '${since}' -u ${SERVICE} | grep '^lxc-auto.* needs'`,
      );
      expect(said.split('\n')).toEqual([
        expect.stringMatching(/^lxc-autoscale needs Node 18.19 .* no \/usr\/bin\/node .*apt-get/),
        expect.stringMatching(/^lxc-autoscale needs Node 18.19 .* is v12.22.12; .*apt-get/),
      ]);
    },
    MINUTES,
  );

  it(
    'is uninstalled, with the containers as they were before',
    async (context) => {
      const tree = stage.tree(context);
      const outcome = await tree.sh(`${LIB}/current/uninstall.sh --rollback`);
      expect(outcome).toMatchObject({ code: 0, stderr: '' });
      expect(outcome.stdout).toMatch(/Rolled back container 102 .*-> 1024 MB/);
      expect(stage.node.limits(102)).toMatchObject({ cores: 2, memoryMib: 1024 });
      for (const left of ['/etc/lxc_autoscale', '/var/lib/lxc_autoscale', 'nodejs']) {
        expect(outcome.stdout).toContain(left);
      }
      expect((await tree.sh('ps -e -o args= | grep [l]xc-autoscale.cjs')).stdout).toBe('');
      expect(tree.exists(CONFIG)).toBe(true);
      expect(tree.exists(LIB)).toBe(false);
      expect(tree.exists(`/etc/systemd/system/${SERVICE}`)).toBe(false);
    },
    MINUTES,
  );

  it(
    'observes only, when nobody says otherwise; a purge leaves nothing unsaid',
    async (context) => {
      const tree = await stage.bare(context);
      const sets = setsOf(stage.node).length;
      const outcome = await tree.sh(piped('good'));
      expect(outcome).toMatchObject({ code: 0, stderr: '' });
      expect(outcome.stdout).toContain('OBSERVE MODE: nothing is changed');
      expect(tree.read(CONFIG)).toMatch(/^DEFAULT:\n.*\n {2}scaling_mode: observe$/m);
      expect(tree.read(CONFIG).match(/^ {2}scaling_mode:/gm)).toHaveLength(1);
      expect(await tree.must('lxc-autoscale explain 102')).toContain('only observed');
      expect(setsOf(stage.node)).toHaveLength(sets);
      expect((await tree.sh(`${LIB}/current/uninstall.sh --purge`)).code).toBe(1);
      const removed = await tree.sh(`${LIB}/current/uninstall.sh --purge --yes`);
      expect(removed).toMatchObject({ code: 0, stderr: '' });
      const traces = 'ls -d /var/log/lxc_autoscale* /run/lxc_autoscale* /run/lock/lxc_autoscale*';
      expect(await tree.must(`${traces} 2>/dev/null || true`)).toBe('');
    },
    2 * MINUTES,
  );

  it('leaves nothing of a first installation that is ended', async (context) => {
    const tree = await stage.bare(context);
    const had = await filesOf(tree);
    tree.program('opt/shims/systemctl', shim('enable *', 'TERM'));
    const script =
      'export INSTALLER=$$ PATH=/opt/shims:$PATH; exec bash ' +
      `<(curl -sSL ${releases.url('good/install.sh')})`;
    const { code, stderr } = await tree.sh(script);
    expect(tree.names('opt/shims')).toContain('fired');
    await tree.must('rm -r /opt/shims');
    expect({ code, stderr }).toEqual({
      code: 143,
      stderr: 'install.sh: it failed; what was begun is taken back\n',
    });
    expect(await filesOf(tree)).toEqual(had);
  });

  it(
    'takes the place of a Python daemon, or leaves it running',
    async (context) => {
      const tree = await stage.bare(context);
      const unit = `/etc/systemd/system/${SERVICE}`;
      const python =
        '[Service]\nExecStart=/bin/sleep 100000\n[Install]\nWantedBy=multi-user.target\n';
      tree.write(unit, python);
      tree.write('/var/log/lxc_autoscale.json', '{"container_id": "101", "action": "Old"}\n');
      await tree.must(`systemctl daemon-reload; systemctl enable --quiet --now ${SERVICE}`);
      const refused = await tree.sh(from('broken'));
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain('the version before runs again');
      expect(tree.read(unit)).toBe(python);
      expect(await tree.must(`ps -o args= -p ${await show(tree, 'MainPID')}`)).toContain('sleep');
      expect(tree.exists(CONFIG)).toBe(false);
      expect(await tree.sh(piped('good', '--no-observe'))).toMatchObject({ code: 0, stderr: '' });
      expect(await isActive(tree)).toBe(true);
      expect((await tree.sh('ps -e -o args= | grep "[s]leep 100000"')).stdout).toBe('');
      const kept = tree.names('etc/lxc_autoscale').filter((name) => name.includes('.service.'));
      expect(kept.map((name) => tree.read(`etc/lxc_autoscale/${name}`))).toContain(python);
      await tree.until('[ "$(wc -l </var/log/lxc_autoscale.json)" -gt 1 ]');
      expect(tree.read('/var/log/lxc_autoscale.json')).toMatch(/^.*"Old"}\n{/);
      await tree.must(`${LIB}/current/uninstall.sh --purge --yes`);
    },
    2 * MINUTES,
  );

  it.for(EARLIER)(
    'carries over %s, and observes with it',
    { timeout: 2 * MINUTES },
    async ([, path, text, said], context) => {
      const tree = await stage.bare(context);
      tree.write(path, text);
      const sets = setsOf(stage.node).length;
      const outcome = await tree.sh(piped('good'));
      expect(outcome).toMatchObject({ code: 0, stderr: '' });
      expect(outcome.stdout).toMatch(said);
      expect(outcome.stdout).toContain('OBSERVE MODE: nothing is changed');
      expect(outcome.stdout).not.toMatch(/hunter2|Written: /);
      const kept = tree.names('etc/lxc_autoscale').filter((name) => name.endsWith('.backup'));
      if (path === CONFIG) {
        expect(kept.map((name) => tree.read(`etc/lxc_autoscale/${name}`))).toEqual([text]);
      } else {
        expect(kept).toEqual([]);
        expect(tree.read(path)).toBe(text);
      }
      expect(tree.read(CONFIG)).toMatch(/^ {2}poll_interval: 2$/m);
      const secret = text.includes('abcdefgh');
      expect(await tree.must(`stat -c %a ${CONFIG}`)).toBe(secret ? '600' : '640');
      const table = await tree.must('lxc-autoscale check-config');
      expect(table).toMatch(/^101 .*ignored/m);
      expect(table).toMatch(/^102 .*TIER_/m);
      expect(await isActive(tree)).toBe(true);
      expect(setsOf(stage.node)).toHaveLength(sets);
      // The second run is an update, and keeps what the first has made.
      const carried = tree.read(CONFIG);
      const again = await tree.sh(piped('good', '--yes --no-start'));
      expect(again).toMatchObject({ code: 0, stderr: '' });
      expect(tree.read(CONFIG)).toBe(carried);
      await tree.must(`${LIB}/current/uninstall.sh --purge --yes`);
    },
  );

  it('changes nothing where an earlier configuration cannot be read', async (context) => {
    const tree = await stage.bare(context);
    const text = 'DEFAULTS:\n  poll_interval: "5\n';
    tree.write(CONFIG, text);
    const had = await filesOf(tree);
    const { code, stdout, stderr } = await tree.sh(piped('good', '--yes'));
    expect(code).toBe(1);
    expect(stdout).toContain(`${CONFIG} is of an earlier program`);
    expect(stderr).toMatch(/lxc_autoscale.yaml:[0-9]+: .*\nNothing was migrated\.\n/);
    expect(tree.read(CONFIG)).toBe(text);
    expect(await filesOf(tree)).toEqual(had);
    await tree.must('rm -r /etc/lxc_autoscale');
  });

  it('asks on the terminal, though the script comes by a pipe', async (context) => {
    const tree = await stage.bare(context);
    const mine = 'DEFAULT:\n  poll_interval: 9\n';
    const answered = async (...answers: readonly string[]): Promise<string> => {
      tree.write('opt/answers', `${answers.join('\n')}\n`);
      const command = piped('good', '--no-start');
      const typed = `script -qec '${command}' /dev/null </opt/answers`;
      const { code, stdout } = await tree.sh(typed);
      expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('[Keep/') });
      return stdout;
    };
    tree.write(CONFIG, mine);
    expect(await answered('')).not.toContain('Only observe');
    expect(tree.read(CONFIG)).toBe(mine);
    expect(await answered('overwrite', 'no')).toContain('Only observe at first');
    expect(tree.read(CONFIG)).toMatch(/^ {2}scaling_mode: threshold$/m);
    const kept = tree.names('etc/lxc_autoscale').filter((name) => name.endsWith('.backup'));
    expect(kept.map((name) => tree.read(`etc/lxc_autoscale/${name}`))).toEqual([mine]);
    await answered('o', '');
    expect(tree.read(CONFIG)).toMatch(/^ {2}scaling_mode: observe$/m);
    await tree.must(`${LIB}/current/uninstall.sh --purge --yes; rm /opt/answers`);
  });

  it(
    'clones for a group in a unit beside the service, where it can mount',
    async (context) => {
      const tree = await stage.bare(context);
      const pct = tree.read('usr/sbin/pct');
      const note = 'echo "$1 $(grep ^0:: /proc/self/cgroup)" >>/srv/pct-calls\nexec';
      tree.program('usr/sbin/pct', pct.replace('exec', note));
      tree.write(CONFIG, configuration());
      expect(await tree.sh(piped('good', '--yes'))).toMatchObject({ code: 0, stderr: '' });
      // The tree sees the CPUs of this machine, and on busy ones a clone is not started.
      await tree.until("lxc-autoscale explain web | grep -q '99000 .* serving'", 6 * MINUTES);
      const calls = tree.read('srv/pct-calls').trim().split('\n');
      expect(calls.map((call) => call.split(' ')[0])).toEqual(
        expect.arrayContaining(['clone', 'set', 'start']),
      );
      for (const call of calls) expect(call).toMatch(/^\w+ 0::\/.*\/run-[^/]*\.service$/);
      expect(tree.names('run/lxc_autoscale').filter((name) => name.startsWith('.out'))).toEqual([]);
      await tree.must(`${LIB}/current/uninstall.sh --purge --yes`);
      await tree.must('pct stop 99000; pct destroy 99000 --purge; rm /srv/pct-calls');
      tree.program('usr/sbin/pct', pct);
    },
    8 * MINUTES,
  );

  it('comes from a file, and from a directory, and waits to be started', async (context) => {
    const tree = await stage.bare(context);
    const name = `lxc-autoscale-${releases.version}`;
    const get = (file: string): string => `curl -sSfO ${releases.url(`good/${file}`)};`;
    const archive = `${name}.tar.gz`;
    await tree.must(`cd /opt; ${get(archive)} ${get(`${archive}.sha256`)} tar xzf ${archive}`);
    const script = `cd /opt; bash ${name}/install.sh --from ${archive} --yes --no-start`;
    expect(await tree.sh(script)).toMatchObject({ code: 0, stderr: '' });
    expect(await isActive(tree)).toBe(false);
    expect((await tree.sh(`systemctl is-enabled ${SERVICE}`)).stdout).toBe('disabled\n');
    expect(await tree.sh(`${LIB}/current/uninstall.sh --purge --yes`)).toMatchObject({ code: 0 });
    expect(await tree.sh(`/opt/${name}/install.sh --no-start`)).toMatchObject({
      code: 0,
      stderr: '',
    });
    expect(await versionIn(tree)).toBe(`lxc-autoscale ${releases.version}`);
    await tree.must(`${LIB}/current/uninstall.sh --purge --yes; rm -r /opt/${name}*`);
  });

  it('writes no configuration where the cluster has one', async (context) => {
    const tree = await stage.bare(context);
    await tree.must('echo "DEFAULT: {scaling_mode: observe}" >/etc/pve/lxc_autoscale.yaml');
    const { code, stdout } = await tree.sh(piped('good', '--yes --no-start'));
    expect(code).toBe(0);
    expect(stdout).toContain('The configuration is /etc/pve/lxc_autoscale.yaml');
    expect(tree.exists(CONFIG)).toBe(false);
    await tree.must(`${LIB}/current/uninstall.sh --purge --yes; rm /etc/pve/lxc_autoscale.yaml`);
  });

  it(
    'is a Debian package too, which a purge removes',
    async (context) => {
      const tree = await stage.bare(context);
      const deb = `lxc-autoscale_${releases.version}_all.deb`;
      await tree.must(`curl -sSfo /tmp/${deb} ${releases.url(`good/${deb}`)}`);
      await tree.must(`apt-get install --yes --quiet=2 /tmp/${deb}`);
      expect(await isActive(tree)).toBe(true);
      expect(await versionIn(tree)).toBe(`lxc-autoscale ${releases.version}`);
      expect(tree.read(CONFIG)).toMatch(/^ {2}scaling_mode: observe$/m);
      const [, schema = ''] = /\$schema=(\S+)/.exec(tree.read(CONFIG)) ?? [];
      expect(tree.exists(schema)).toBe(true);
      const listed = await tree.must('dpkg --listfiles lxc-autoscale');
      for (const name of ['man1/lxc-autoscale.1.gz', 'completions/lxc-autoscale', 'group.yaml']) {
        expect(listed).toContain(name);
      }
      expect((await tree.sh(piped('good'))).stderr).toContain('installed here as a Debian package');
      await tree.must(`sed -i 's/^  poll_interval: .*/  poll_interval: 7/' ${CONFIG}`);
      await tree.must(
        'DEBIAN_FRONTEND=noninteractive apt-get remove --yes --quiet=2 lxc-autoscale',
      );
      expect(await isActive(tree)).toBe(false);
      expect(tree.read(CONFIG)).toContain('poll_interval: 7');
      await tree.must(
        'DEBIAN_FRONTEND=noninteractive apt-get purge --yes --quiet=2 lxc-autoscale nodejs;' +
          'apt-get autoremove --purge --yes --quiet=2; rm -rf /var/log/lxc_autoscale*',
      );
      // What lies in /etc/pve is the cluster's: other nodes go by it.
      const had = new Set(before);
      const isLeft = (path: string): boolean => !had.has(path) && !path.startsWith('/etc/pve/priv');
      expect((await filesOf(tree)).filter(isLeft)).toEqual([]);
    },
    3 * MINUTES,
  );
});
