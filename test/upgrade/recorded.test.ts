import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SimulatedNode } from '../../src/sim/node.ts';
import { BUNDLE } from '../e2e/node-under-test.ts';
import { startFastDaemon } from '../long/fast-daemon.ts';
import { EARLIER, type EarlierBuild } from './earlier-builds.ts';
import { type Answer, runProgram } from './run-program.ts';
import {
  BOOSTED,
  BY_HAND,
  Happenings,
  KILLED,
  RECORDED_MS,
  REFUSED,
  ROLLED_BACK,
  START_MS,
  stage,
  UPTIME_MS,
} from './stage.ts';
import { confsIn, layTree, recordedTree, textIn } from './tree.ts';

/** Today's program on what earlier builds have left behind. See CONTRIBUTING.md, `test:upgrade`. */

const HOME = new URL('../..', import.meta.url).pathname;
const MINUTE_MS = 60_000;
/** Later than the last that the build has saved. */
const RESUMED_MS = RECORDED_MS + 5000;
/** The boost ends a little earlier, and the refused change is due again. */
const BOOST_OVER_MS = 122 * MINUTE_MS;
const OFF_PEAK_OVER_MS = 152 * MINUTE_MS;
const JOURNAL = 'var/log/lxc_autoscale.json';
const EARLIEST = EARLIER[0]?.commit;
/** These see the end of the off-peak time too. */
const WHOLE = [EARLIER[1]?.commit, EARLIER.at(-1)?.commit];

type Line = Readonly<Record<string, unknown>>;
const linesOf = (text: string): readonly Line[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));

interface Row {
  readonly atS: number;
  readonly vmid: string | undefined;
}

const rowsOf = (csv: string): readonly Row[] =>
  csv
    .split('\n')
    .filter((line) => /^\d/.test(line))
    .map((line) => line.split(','))
    .map(([time, vmid]) => ({ atS: Number(time), vmid }));

class Replaced {
  readonly node: SimulatedNode;
  readonly tree;
  readonly #directory: string;

  private constructor(directory: string, node: SimulatedNode, commit: string) {
    this.#directory = directory;
    this.node = node;
    this.tree = recordedTree(commit);
  }

  /** The node as the build has left it, with the same time and the same demand. */
  static async create({ commit }: EarlierBuild): Promise<Replaced> {
    const directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-upgrade-'));
    const root = join(directory, 'node');
    const tree = recordedTree(commit);
    const containers = confsIn(tree, 'lxc');
    const node = await stage({ root }, { containers, machines: confsIn(tree, 'qemu-server') });
    node.advance(RESUMED_MS);
    layTree(root, tree);
    return new Replaced(directory, node, commit);
  }

  run(args: readonly string[], elapsedMs = RESUMED_MS): Promise<Answer> {
    return runProgram(this.node, { home: HOME, bundle: BUNDLE, elapsedMs }, args);
  }

  async live(endMs: number): Promise<void> {
    const happenings = new Happenings(this.node, RESUMED_MS);
    const daemon = startFastDaemon({
      node: this.node,
      home: HOME,
      startMs: START_MS,
      uptimeMs: UPTIME_MS,
      elapsedMs: RESUMED_MS,
      onTime: (elapsedMs) => {
        happenings.goOn(elapsedMs);
        if (elapsedMs >= endMs) daemon.child.kill('SIGTERM');
      },
    });
    expect(await daemon.ended).toEqual({ code: 0, stderr: '' });
  }

  text(path: string): string {
    return existsSync(join(this.node.root, path))
      ? readFileSync(join(this.node.root, path), 'utf8')
      : '';
  }

  setsOf(vmid: number): ReadonlyArray<{ readonly minute: number; readonly words: string }> {
    return this.node.calls
      .filter(({ argv }) => argv[1] === 'set' && argv[2] === String(vmid))
      .map(({ argv, atMs }) => ({ minute: atMs / MINUTE_MS, words: argv.slice(3, 5).join(' ') }));
  }

  async close(): Promise<void> {
    await this.node.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

describe.each(EARLIER)('what $commit has left behind', (build) => {
  let replaced: Replaced;
  const isEarliest = build.commit === EARLIEST;

  beforeAll(async () => {
    replaced = await Replaced.create(build);
  });
  afterAll(() => replaced.close());

  it('is a configuration that is fine', async () => {
    const { code, stdout, stderr } = await replaced.run(['check-config']);
    expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: '' });
  });

  it('is a journal and backups of which none is missing', async () => {
    const history = await replaced.run(['history', '--json', '--all']);
    expect(history.stdout).toBe(textIn(replaced.tree, JOURNAL));
    const backups = JSON.parse((await replaced.run(['backups', '--json'])).stdout);
    const copies = Object.keys(replaced.tree).filter((path) => /backups\/.*\.conf$/.test(path));
    expect(JSON.stringify(backups).match(/"id":/g)).toHaveLength(copies.length);
    for (const path of copies) {
      const [, vmid, id] = /backups\/(\d+)\/(.+)\.conf$/.exec(path) ?? [];
      const known = JSON.stringify(backups);
      expect(known).toContain(id);
      expect(known).toContain(`"vmid":${vmid}`);
    }
  });

  // It had neither.
  if (!isEarliest) {
    it('is a usage history and members of which none is missing', async () => {
      const written = Object.keys(replaced.tree)
        .filter((path) => path.includes('/usage/'))
        .sort()
        .flatMap((path) => rowsOf(textIn(replaced.tree, path)));
      expect(written.length).toBeGreaterThan(500);
      const exported = rowsOf((await replaced.run(['export'])).stdout);
      const idsOf = (rows: readonly Row[]) => [...new Set(rows.map(({ vmid }) => vmid))].sort();
      expect(idsOf(exported)).toEqual(idsOf(written));
      // One mean each five minutes, up to the last minute of it.
      const spans = exported.filter(({ vmid }) => vmid === String(BY_HAND));
      expect(spans.map(({ atS }) => atS).slice(0, 20)).toEqual(
        Array.from({ length: 20 }, (_, at) => at * 300),
      );
      const members = await replaced.run(['members']);
      expect(members.stdout).toMatch(/99000[\s\S]*99001/);
    });
  }

  it('is gone on with: nothing is ended, tried or given a second time', async () => {
    const { state: version } = build;
    const isWhole = WHOLE.includes(build.commit);
    await replaced.live(isWhole ? OFF_PEAK_OVER_MS : BOOST_OVER_MS);
    const log = replaced.text('var/log/lxc_autoscale.log');
    const ignored = /^.*saved state is ignored.*$/m.exec(log)?.[0];
    expect(ignored).toEqual(version > 1 ? undefined : expect.stringContaining('version is 1'));
    // Its start is not one of its containers, and what was set by hand is not the program's.
    for (const vmid of [BY_HAND, ROLLED_BACK]) expect(replaced.setsOf(vmid), `${vmid}`).toEqual([]);
    expect(replaced.setsOf(KILLED).filter(({ words }) => !words.startsWith('--memory'))).toEqual(
      [],
    );
    expect(replaced.node.oomKills(KILLED)).toBe(0);
    const lines = linesOf(replaced.text(JOURNAL));
    expect(lines.slice(0, linesOf(textIn(replaced.tree, JOURNAL)).length)).toEqual(
      linesOf(textIn(replaced.tree, JOURNAL)),
    );
    if (isEarliest) return;
    expect(replaced.setsOf(BOOSTED)[0]?.minute).toBeCloseTo(120.4, 0);
    expect(replaced.setsOf(BOOSTED)[0]?.words).toBe('--cores 2');
    // Five failures in a row: the next try is due after the hundred-and-thirteenth minute.
    expect(replaced.setsOf(REFUSED)[0]?.minute).toBeGreaterThan(113);
    if (!isWhole) return;
    for (const vmid of [110, 99_000, 99_001]) {
      expect(replaced.node.limits(vmid)?.memoryMib, `${vmid}`).toBe(2048);
    }
    expect(replaced.node.machine.files.vmids()).toEqual([...confsIn(replaced.tree, 'lxc').keys()]);
  });
});
