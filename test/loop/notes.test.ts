import { describe, expect, it } from 'vitest';
import { notesIn, notesLines } from '../../src/core/guest-notes.ts';
import { type LoopState, newLoopState } from '../../src/core/loop-state.ts';
import type { ContainerPolicy, Management } from '../../src/core/policy.ts';
import { missing, present } from '../../src/core/reading.ts';
import { type CycleSettings, runCycle } from '../../src/loop/cycle.ts';
import { hostPolicy, policy, vmid } from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

/** `write_notes`: the last change of a guest in its notes. */

const NOTES = 'ask Ann: *before* a reboot';
const WRITTEN = new RegExp(
  '^ask Ann: \\*before\\* a reboot\\n\\n<!-- lxc-autoscale -->\\n' +
    'lxc-autoscale, .* UTC: cores from .*\\n<!-- /lxc-autoscale -->$',
);

class Stage {
  readonly node = new FakeNode();
  readonly state: LoopState = newLoopState();
  management: Management = managed(true);
  readonly stop = new AbortController();

  constructor() {
    this.node.add(101, { cores: 2 }, { current: 450, anon: 400 }).notes = notesLines(NOTES);
    this.node.get(101).load = 1.9;
  }

  by(management: Management): void {
    this.management = management;
  }

  get notes(): string | undefined {
    return notesIn(Buffer.from((this.node.get(101).notes ?? []).join('\n')));
  }

  get lines(): readonly string[] {
    return this.node.lines.filter((line) => line.includes('its notes'));
  }

  /** Two cycles: a rate needs two samples. */
  async cycles(count = 2, own: Partial<CycleSettings> = {}): Promise<void> {
    for (let done = 0; done < count; done += 1) {
      this.node.pass(300_000);
      this.node.rebalance();
      const manage = () => this.management;
      const settings = { manage, hostPolicy, dryRun: false, atOnce: 1, ...own };
      await runCycle(this.node.world, settings, this.state, this.stop.signal);
    }
  }
}

function managed(writesNotes: boolean, mode: 'act' | 'observe' = 'act'): Management {
  const its: ContainerPolicy = { ...policy(), ...(writesNotes && { writesNotes: true }) };
  return { kind: 'managed', policy: its, mode, because: 'DEFAULT' };
}

describe('the notes of a guest', () => {
  it('get the change after it was made, with a backup, the digest of now, and a line', async () => {
    const stage = new Stage();
    await stage.cycles();
    expect(stage.notes).toMatch(WRITTEN);
    expect(stage.node.done.slice(0, 4)).toEqual(['backup 101', 'set 101', 'backup 101', 'set 101']);
    const [change, notes] = stage.node.sets;
    expect(change?.cores).toBeGreaterThan(2);
    expect(change?.notes).toBeUndefined();
    expect(notes?.notes).toMatch(WRITTEN);
    expect(notes?.digest).not.toBe(change?.digest);
    expect(stage.node.backups[1]?.purpose).toEqual({
      reason: 'Notes: the last change is written',
      notes: true,
    });
    expect(stage.lines).toEqual([
      expect.stringMatching(/^INFO: .*101 \(.*\) has its last change in its notes\. Backup: /),
    ]);
  });

  it('are written once a change, and not without one', async () => {
    const stage = new Stage();
    await stage.cycles();
    stage.node.get(101).load = 1.5;
    await stage.cycles(3);
    const written = stage.node.sets.filter(({ notes }) => notes !== undefined);
    expect(written).toHaveLength(stage.node.sets.length - written.length);
  });

  it.each<[string, (stage: Stage) => void, Partial<CycleSettings>]>([
    ['the key is off', (one) => one.by(managed(false)), {}],
    ['it only observes', (one) => one.by(managed(true, 'observe')), {}],
    ['in a dry run', () => {}, { dryRun: true }],
  ])('are not touched: %s', async (_why, prepare, own) => {
    const stage = new Stage();
    prepare(stage);
    await stage.cycles(3, own);
    expect(stage.notes).toBe(NOTES);
  });

  it('are not touched if the change fails', async () => {
    const stage = new Stage();
    stage.node.pct = () => ({ kind: 'failed', why: 'other', message: 'no' });
    await stage.cycles();
    expect(stage.node.sets.filter(({ notes }) => notes !== undefined)).toEqual([]);
  });

  it('that cannot be written are a warning, told once, and the change is done', async () => {
    const stage = new Stage();
    const { pct } = stage.node;
    stage.node.pct = (request) =>
      request.notes === undefined ? pct(request) : { kind: 'failed', why: 'denied', message: 'no' };
    const done: number[] = [];
    for (let cycle = 0; cycle < 6; cycle += 1) {
      await stage.cycles(1);
      done.push(stage.node.sets.filter(({ notes }) => notes !== undefined).length);
      stage.node.get(101).load = (stage.node.get(101).config.cores ?? 0) * 0.97;
    }
    expect(done.at(-1)).toBeGreaterThan(1);
    expect(stage.node.linesOf('ERROR')).toEqual([]);
    expect(stage.lines.filter((line) => line.startsWith('WARN'))).toEqual([
      expect.stringMatching(/101 \(.*\): its last change was not written in its notes: no$/),
    ]);
    expect(stage.notes).toBe(NOTES);
  });

  it('that an administrator changes at the same time stay his', async () => {
    const stage = new Stage();
    const { pct } = stage.node;
    stage.node.pct = (request) => {
      if (request.notes !== undefined && stage.notes === NOTES) {
        stage.node.get(101).notes = notesLines('his own');
        stage.node.write(101, {});
      }
      return pct(request);
    };
    await stage.cycles();
    expect(stage.notes).toBe('his own');
    expect(stage.lines[0]).toMatch(/^WARN: .*not written in its notes: .*modified/);
  });

  it.each([
    ['half a block', `${NOTES}\n<!-- lxc-autoscale -->`],
    ['text of others in it', '<!-- lxc-autoscale -->\nroot: 1234\n<!-- /lxc-autoscale -->'],
    ['no room', 'x'.repeat(8100)],
  ])('stay as they are: %s', async (_what, notes) => {
    const stage = new Stage();
    stage.node.get(101).notes = notesLines(notes);
    await stage.cycles();
    expect(stage.notes).toBe(notes);
    expect(stage.node.sets).toHaveLength(1);
    expect(stage.lines).toHaveLength(1);
  });

  it('lose the block, and nothing else, once the key is off', async () => {
    const stage = new Stage();
    await stage.cycles();
    stage.management = managed(false, 'observe');
    await stage.cycles(1);
    expect(stage.notes).toMatch(WRITTEN);
    stage.management = managed(false);
    stage.node.get(101).load = 1.2;
    await stage.cycles(2);
    expect(stage.notes).toBe(NOTES);
    expect(stage.lines.at(-1)).toMatch(/no longer has its last change in its notes\. Backup: /);
  });

  it('are not touched by text that others have put there, if the key is off', async () => {
    const stage = new Stage();
    await stage.cycles();
    const copied = stage.node.get(101).notes ?? [];
    const other = new Stage();
    other.management = managed(false);
    other.node.get(101).notes = copied;
    await other.cycles(3);
    expect(other.node.get(101).notes).toEqual(copied);
  });

  it('are not written while the node cannot be, nor at the end of the program', async () => {
    const stage = new Stage();
    const { pct } = stage.node;
    stage.node.pct = (request) => {
      const done = pct(request);
      stage.node.quorum = present(false);
      return done;
    };
    await stage.cycles();
    expect(stage.notes).toBe(NOTES);
    const ending = new Stage();
    ending.node.pct = (request) => {
      ending.stop.abort();
      return pct.call(ending.node, request);
    };
    await ending.cycles();
    expect(ending.notes).toBe(NOTES);
  });

  it('that cannot be read afterwards are told', async () => {
    const stage = new Stage();
    const { pct } = stage.node;
    stage.node.pct = (request) => {
      if (request.notes !== undefined) {
        stage.node.get(101).configMissing = missing('unreadable', 'it hangs');
      }
      return pct(request);
    };
    await stage.cycles();
    expect(stage.lines[0]).toMatch(/what came of it is not known: it hangs/);
    expect(stage.state.guests.get(vmid(101))?.noted?.isThere).toBe(false);
  });
});
