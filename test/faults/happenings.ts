import { existsSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { SimulatedNode } from '../../src/sim/node.ts';
import type { QmpFault } from '../../src/sim/qmp-server.ts';
import { MANAGED_MACHINES } from './machine-stage.ts';
import type { Random } from './random.ts';
import {
  BROKEN_CONFIGURATION,
  configurationOf,
  GROUP,
  MANAGED,
  writeConfiguration,
} from './stage.ts';

/** What happens on a node besides faults of single calls, by chance. */

export interface Scene {
  readonly node: SimulatedNode;
  readonly seed: string;
  readonly random: Random;
  /** Does something so much later. */
  later(ms: number, what: () => void): void;
  /** Another text of the configuration is there from now on, right or wrong. */
  configured(text: string): void;
  /** To the daemon. */
  signal(name: NodeJS.Signals): void;
  jumpClock(ms: number): void;
  setQuorum(has: boolean): void;
  /** What the daemon knew is lost. */
  forget(): void;
  /** An administrator runs a command. */
  admin(argv: readonly string[]): void;
  /** The last configuration that was right. */
  version: number;
}

export type Happening = readonly [name: string, happen: (scene: Scene) => void];

const STATE = 'var/lib/lxc_autoscale/state.json';
const HOUR_MS = 3_600_000;

function write(scene: Scene, text: string): void {
  writeConfiguration(scene.node.root, text);
  scene.configured(text);
  scene.signal('SIGHUP');
}

const current = ({ seed, version }: Scene): string => configurationOf(seed, version);

const stopAndStart = (awayMs: readonly [number, number]) => (scene: Scene) => {
  const { node, random } = scene;
  const vmid = random.pick(MANAGED);
  if (node.machine.running(vmid) === undefined) return;
  node.stopContainer(vmid);
  const ms = random.whole(...awayMs);
  if (ms === 0) node.startContainer(vmid);
  else scene.later(ms, () => node.startContainer(vmid));
};

/** What is damaged while the daemon is away; whatever it is, it must start. */
function damage({ node, random }: Scene): void {
  const path = join(node.root, STATE);
  mkdirSync(dirname(path), { recursive: true });
  random.pick([
    () => writeFileSync(path, ''),
    () => writeFileSync(path, '{"version":3,"guests":[[101,'),
    () => writeFileSync(path, 'null\n'),
    () => writeFileSync(path, `${'['.repeat(50_000)}`),
    () => writeFileSync(path, '{"version":99}'),
    () => writeFileSync(path, Buffer.alloc(4096, 0xff)),
    () => rmSync(path, { force: true }),
    () => writeFileSync(join(dirname(path), '.state.json.tmp'), '{"half'),
  ])();
}

/** What else happens where there is a group. */
export const GROUP_HAPPENINGS: readonly Happening[] = [
  [
    'an admin keeps a clone',
    ({ node, random }) => {
      const clones = node.machine.files.vmids().filter((vmid) => vmid >= GROUP.firstId);
      if (clones.length === 0) return;
      node.editConfig(random.pick(clones), (text) => text.replace(/^tags: .*\n/m, 'tags: kept\n'));
    },
  ],
  [
    'a clone is destroyed by hand',
    ({ node, random }) => {
      const clones = node.machine.files.vmids().filter((vmid) => vmid >= GROUP.firstId);
      if (clones.length > 0) node.destroyContainer(random.pick(clones));
    },
  ],
  [
    'the source is locked for a while',
    ({ node, later, random }) => {
      node.setLock(GROUP.source, 'backup');
      later(random.whole(5000, 60_000), () => node.setLock(GROUP.source, undefined));
    },
  ],
];

/** What else happens where there are machines. */
export const MACHINE_HAPPENINGS: readonly Happening[] = [
  [
    'a machine stops for a while',
    ({ node, random, later }) => {
      const vmid = random.pick(MANAGED_MACHINES);
      void node.setVmRunning(vmid, false);
      later(random.whole(3000, 90_000), () => void node.setVmRunning(vmid, true));
    },
  ],
  [
    'a machine dies, and is started again',
    ({ node, random, later }) => {
      const vmid = random.pick(MANAGED_MACHINES);
      void node.killVm(vmid);
      later(random.whole(0, 30_000), () => void node.setVmRunning(vmid, true));
    },
  ],
  [
    'a machine is paused for a while',
    ({ node, random, later }) => {
      const vmid = random.pick(MANAGED_MACHINES);
      node.setVmPaused(vmid, true);
      later(random.whole(5000, 120_000), () => node.setVmPaused(vmid, false));
    },
  ],
  [
    'a machine is locked',
    ({ node, random, later }) => {
      const vmid = random.pick(MANAGED_MACHINES);
      node.editVm(vmid, (text) => `lock: ${random.pick(['backup', 'suspended'])}\n${text}`);
      const unlock = (text: string): string => text.replace(/^lock: .*\n/m, '');
      later(random.whole(5000, 60_000), () => node.editVm(vmid, unlock));
    },
  ],
  [
    'the lock file of a machine is held',
    ({ node, random, later }) => {
      const vmid = random.pick(MANAGED_MACHINES);
      const held = node.holdConfigLock(vmid);
      if (held) later(random.whole(1000, 40_000), () => node.releaseConfigLock(vmid));
    },
  ],
  ...[0, 1, 2].map(
    (): Happening => [
      'a monitor does not do as it should',
      ({ node, random, later }) => {
        const vmid = random.pick(MANAGED_MACHINES);
        void node.setQmpFault(vmid, random.pick(MONITOR_FAULTS));
        later(random.whole(2000, 120_000), () => void node.setQmpFault(vmid, undefined));
      },
    ],
  ),
  [
    'an admin sets a value of a machine',
    ({ random, admin }) => {
      const vmid = String(random.pick(MANAGED_MACHINES));
      admin(['qm', 'set', vmid, ...random.pick(OF_ADMINS)]);
    },
  ],
  [
    'an admin edits the description of a machine',
    ({ node, random }) => {
      const note = random.pick(['#caf\u00e9', '#%0Avcpus%3A 9', '#[PENDING]', '#\u001b[31m']);
      node.editVm(random.pick(MANAGED_MACHINES), (text) => `${note}\n${text}`);
    },
  ],
];

const MONITOR_FAULTS: readonly QmpFault[] = [
  'hang',
  'silent',
  'garbage',
  'cut',
  'endless',
  'errors',
  'stale',
  'refuses',
  'gone',
];

/** Live ones, and ones that wait for the next start. */
const OF_ADMINS = [
  ['--cpulimit', '2'],
  ['--delete', 'cpulimit'],
  ['--vcpus', '3'],
  ['--balloon', '1300'],
  ['--memory', '3584'],
  ['--sockets', '2'],
  ['--numa', '0'],
  ['--shares', '500'],
  ['--shares', '0'],
] as const;

export const HAPPENINGS: readonly Happening[] = [
  ['a container stops for a while', stopAndStart([3000, 90_000])],
  ['a container is restarted', stopAndStart([0, 0])],
  [
    'a container is locked',
    ({ node, random, later }) => {
      const vmid = random.pick(MANAGED);
      node.setLock(vmid, 'backup');
      later(random.whole(5000, 60_000), () => node.setLock(vmid, undefined));
    },
  ],
  [
    'an admin sets memory',
    ({ random, admin }) => {
      const mib = String(random.pick([3072, 4096, 5000]));
      admin(['pct', 'set', String(random.pick(MANAGED)), '--memory', mib]);
    },
  ],
  [
    'an admin sets cores',
    ({ random, admin }) => {
      const cores = String(random.whole(1, 8));
      admin(['pct', 'set', String(random.pick(MANAGED)), '--cores', cores]);
    },
  ],
  [
    'an admin edits a description',
    ({ node, random }) => {
      const note = random.pick(['#caf\u00e9', '#%0A../../x', '#\u001b[31m']);
      node.editConfig(random.pick(MANAGED), (text) => `${note}\n${text}`);
    },
  ],
  ['the clock jumps a day ahead', ({ jumpClock }) => jumpClock(24 * HOUR_MS)],
  ['the clock jumps a day back', ({ jumpClock }) => jumpClock(-24 * HOUR_MS)],
  [
    'pvestatd pauses',
    ({ node, later, random }) => {
      node.setPvestatd(false);
      later(random.whole(10_000, 90_000), () => node.setPvestatd(true));
    },
  ],
  [
    'the cluster loses its quorum',
    ({ setQuorum, later, random }) => {
      setQuorum(false);
      later(random.whole(10_000, 120_000), () => setQuorum(true));
    },
  ],
  [
    'the configuration is broken for a while',
    (scene) => {
      write(scene, BROKEN_CONFIGURATION);
      scene.later(scene.random.whole(5000, 40_000), () => write(scene, current(scene)));
    },
  ],
  [
    'the configuration is read while it is written',
    (scene) => {
      const text = current(scene);
      // What is saved without the list of those to be left alone is obeyed as well.
      const least = text.indexOf('\n', text.indexOf('ignore_lxc')) + 1;
      write(scene, text.slice(0, scene.random.whole(least, text.length)));
      scene.later(2000, () => write(scene, text));
    },
  ],
  [
    'the configuration is gone for a while',
    (scene) => {
      rmSync(join(scene.node.root, 'etc/lxc_autoscale/lxc_autoscale.yaml'), { force: true });
      scene.signal('SIGHUP');
      scene.later(scene.random.whole(1000, 20_000), () => write(scene, current(scene)));
    },
  ],
  [
    'another configuration',
    (scene) => {
      scene.version += 1;
      write(scene, current(scene));
    },
  ],
  [
    'a configuration file is held locked',
    ({ node, random, later }) => {
      const vmid = random.pick(MANAGED);
      if (node.holdConfigLock(vmid)) later(20_000, () => node.releaseConfigLock(vmid));
    },
  ],
  [
    'the logs are cut off or removed',
    ({ node, random }) => {
      const path = join(node.root, `var/log/lxc_autoscale.${random.pick(['log', 'json'])}`);
      if (random.chance(0.5)) rmSync(path, { force: true });
      else if (existsSync(path)) truncateSync(path, 0);
    },
  ],
  ['the daemon is ended', ({ signal }) => signal('SIGTERM')],
  ['the daemon is killed', ({ signal }) => signal('SIGKILL')],
  [
    'the daemon is killed, its state damaged',
    (scene) => {
      scene.signal('SIGKILL');
      scene.later(1, () => {
        damage(scene);
        scene.forget();
      });
    },
  ],
];
