import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { milliseconds } from '../../src/core/units.ts';
import { outcomeOf } from '../../src/node/local/outcome-values.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { createGroupTools } from '../../src/node/local/pve/pct-groups.ts';
import {
  addressIn,
  isId,
  parseAnswer,
  storageRoomIn,
} from '../../src/node/local/pve/pvesh-values.ts';
import type { CommandResult } from '../../src/os/command.ts';
import { fc } from '../fast-check.ts';
import { vmid } from '../node/local/world.ts';
import { damaged, damagedJson, damagedText, fuzz, UNFIT } from './fuzz.ts';
import { keptDirectory } from './kept-directory.ts';

/** What `pct` and `pvesh` print, and what programs in their place could print. */

const STDERR =
  'perl: warning: Setting locale failed.\n400 Parameter verification failed.\n' +
  'memory: value must have a minimum value of 16\npct set <vmid> [OPTIONS]\n' +
  "trying to acquire lock...\ncan't lock file - got timeout\nCT is locked (backup)\n" +
  'unable to hotplug cpulimit\ndetected modified configuration - file changed by other user?\n';

describe('what pct says', () => {
  const results = fc
    .record({
      kind: fc.constantFrom('exited', 'killed', 'timed-out', 'stopped', 'not-started'),
      exitCode: fc.integer({ min: -1, max: 255 }),
      text: damagedText(STDERR),
      left: fc.boolean(),
    })
    .map(({ kind, exitCode, text, left }) => {
      const texts = { stdout: text, stderr: text };
      return { kind, exitCode, left, signal: 'SIGKILL', message: text, ...texts } as CommandResult;
    });

  fuzz(
    'becomes one line of bounded length, and success is exit code 0',
    3000,
    results,
    (result) => {
      const outcome = outcomeOf(result, 'pct set 101', milliseconds(40_000));
      const isDone = result.kind === 'exited' && result.exitCode === 0;
      expect(outcome.kind === 'done').toBe(isDone);
      if (outcome.kind === 'done') return;
      expect(outcome.message).not.toMatch(UNFIT);
      expect(outcome.message.length).toBeLessThan(400);
    },
  );
});

const RESOURCES = JSON.stringify([
  { id: 'storage/pve1/local-lvm', disk: 1e9, maxdisk: 5e9, plugintype: 'lvmthin' },
  { id: 'lxc/101', disk: 5e8, node: 'pve1' },
  null,
  4,
  'x',
]);
const INTERFACES = JSON.stringify([
  { name: 'lo', inet: '127.0.0.1/8' },
  { name: 'eth0', inet: '10.0.0.7/24' },
  null,
]);

const answers = damaged(RESOURCES, INTERFACES, '"105"', '105', 'x'.repeat(70_000), '[]');

function checkAnswer(text: string): void {
  const answer = parseAnswer(text);
  if (!answer.ok) return;
  if (isId(answer.value, vmid(105))) expect(text).toMatch(/105|1\.05e2/i);
  const room = storageRoomIn(answer.value, 'pve1', 'local-lvm', vmid(101));
  if (room.ok) {
    const { freeMib, sourceUsedMib = 1 } = room.value;
    expect(freeMib >= 0 && Number.isFinite(freeMib)).toBe(true);
    expect(sourceUsedMib > 0 && Number.isFinite(sourceUsedMib)).toBe(true);
  }
  const address = addressIn(answer.value, new Set());
  if (address.ok) expect(address.value).toMatch(/^(?!127\.|0\.)\d{1,3}(\.\d{1,3}){3}$/);
}

describe('what pvesh prints', () => {
  const readable = answers.map((bytes) => bytes.toString('utf8'));
  fuzz('is a value that can be, or none', 3000, readable, checkAnswer);
  const shaped = damagedJson(JSON.parse(RESOURCES), JSON.parse(INTERFACES));
  fuzz('also where only parts of it are wrong', 3000, shaped, (answer) => {
    checkAnswer(JSON.stringify(answer));
  });

  const root = keptDirectory();
  it('is bounded and fit to be shown, when a real process prints it', {
    timeout: 240_000,
  }, async () => {
    const program = join(root(), 'pvesh');
    const out = join(root(), 'out');
    writeFileSync(program, `#!/bin/sh\ncat ${out}\ncat ${out} >&2\nexit 1\n`);
    chmodSync(program, 0o755);
    const environment = { PATH: `${root()}:${process.env['PATH']}` };
    const tools = createGroupTools({ paths: createPaths(root()), environment });
    for (const bytes of fc.sample(answers, { numRuns: 40, seed: 7 })) {
      writeFileSync(out, bytes);
      const address = await tools.addressOf(vmid(101));
      if (address.ok) throw new Error('it has failed, so there is no answer');
      expect(address.detail).not.toMatch(UNFIT);
      expect(address.detail.length).toBeLessThan(1000);
    }
  });
});
