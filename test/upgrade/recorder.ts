import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startFastDaemon } from '../long/fast-daemon.ts';
import { buildOf, type EarlierBuild } from './earlier-builds.ts';
import { runProgram } from './run-program.ts';
import {
  beginning,
  configurationFor,
  Happenings,
  RECORDED_MS,
  ROLLED_BACK,
  START_MS,
  stage,
  UPTIME_MS,
} from './stage.ts';
import { treeOf } from './tree.ts';

/** Runs an earlier build on the stage, and keeps what it leaves behind as a fixture. */

export async function record(home: string, build: EarlierBuild): Promise<string> {
  const bundle = buildOf(home, build.commit);
  const directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-record-'));
  const root = join(directory, 'node');
  const node = await stage({ root }, beginning(build));
  try {
    const happenings = new Happenings(node);
    const daemon = startFastDaemon({
      node,
      home,
      startMs: START_MS,
      uptimeMs: UPTIME_MS,
      yaml: configurationFor(build),
      bundle,
      onTime: (elapsedMs) => {
        happenings.goOn(elapsedMs);
        if (elapsedMs >= RECORDED_MS) daemon.child.kill('SIGTERM');
      },
    });
    const { code, stderr } = await daemon.ended;
    if (code !== 0) throw new Error(`${build.commit} ended with ${code}: ${stderr}`);
    const at = { home, bundle, elapsedMs: RECORDED_MS };
    const rolledBack = await runProgram(node, at, ['rollback', String(ROLLED_BACK)]);
    if (rolledBack.code !== 0) throw new Error(`the rollback failed: ${rolledBack.stderr}`);
    const directoryOfAll = join(home, 'test/fixtures/upgrade');
    mkdirSync(directoryOfAll, { recursive: true });
    const files = treeOf(root);
    const text = JSON.stringify(files, undefined, 1).replaceAll(root, '');
    writeFileSync(join(directoryOfAll, `${build.commit}.json`), `${text}\n`);
    return `${Object.keys(files).length} files`;
  } finally {
    await node.close();
    rmSync(directory, { recursive: true, force: true });
  }
}
