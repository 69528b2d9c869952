import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createPaths } from '../../../../src/node/local/paths.ts';
import { PvestatdFigures, parseRrd } from '../../../../src/node/local/pve/rrd-file.ts';
import { rrdText } from '../../../../src/sim/rrd-text.ts';
import { fc } from '../../../fast-check.ts';
import { manualClock, plant, RECORDED_SYSROOT, temporaryDirectory, vmid } from '../world.ts';

const ID = vmid(200);
const all = (): boolean => true;
const TAIL = '8589934592:0:0:0:0:0';
const old = (time: number, mem: string | number, status = 'running', name = 'web'): string =>
  `pve2.3-vm/200:60:${name}:${status}:0:${time}:2:0.1:4096:${mem}:${TAIL}\n`;
const recent = (time: number, mem: number): string =>
  `pve-vm-9.0/200:60:web:running:0:${time}:2:0.1:4096:${mem}:${TAIL}:2048:0:0:0:0:0:0\n`;

describe('the figures of pvestatd', () => {
  it.skipIf(!existsSync(RECORDED_SYSROOT))('are read as a real node has written them', () => {
    const text = readFileSync(join(RECORDED_SYSROOT, 'etc/pve/.rrd'), 'utf8');
    const found = parseRrd(text, all);
    expect([...found.keys()]).toEqual([101, 102]);
    expect(found.get(vmid(101))).toEqual({
      usedBytes: 97_267_712,
      maxBytes: 536_870_912,
      isRunning: true,
      wallMs: 1_795_304_122_000,
    });
  });

  it('are read in the forms of 8 and 9, and the later of two counts', () => {
    expect(parseRrd(old(100, 7), all).get(ID)).toMatchObject({ usedBytes: 7, wallMs: 100_000 });
    expect(parseRrd(recent(100, 8), all).get(ID)).toMatchObject({ usedBytes: 8 });
    for (const both of [old(100, 7) + recent(110, 8), recent(110, 8) + old(100, 7)]) {
      expect(parseRrd(both, all).get(ID)).toMatchObject({ usedBytes: 8 });
    }
    const own = rrdText([{ ...LINE, usedMib: 3 }], 5);
    expect(parseRrd(own, all).get(ID)).toMatchObject({ usedBytes: 3 * 1024 * 1024, wallMs: 5000 });
  });

  it.each([
    ['of another guest', recent(100, 8).replace('/200', '/201')],
    ['of a node', 'pve2-node/200:759::1795304122:1.31:4:0.45:0:8431964160:782393344:0\n'],
    ['of an unknown form', recent(100, 8).replace('9.0', '9.0x')],
    ['that is cut off', recent(100, 8).slice(0, 40)],
    ['without a use', old(100, 'U')],
    ['with a use below nothing', old(100, -1)],
    ['with a use that is no number', old(100, '1e9')],
    ['whose name has a colon', old(100, 8, 'running', 'a:b')],
    ['with a time beyond all', old(9e15, 8)],
  ])('%s are none', (_, text) => {
    expect(parseRrd(text, (id) => id === ID).size).toBe(0);
  });

  it('of whatever text are whole numbers of those that were asked for, or none', () => {
    const field = fc.oneof(fc.string(), fc.integer().map(String), fc.constantFrom('running', 'U'));
    const line = fc.array(field, { maxLength: 25 }).map((parts) => parts.join(':'));
    const key = fc.constantFrom('pve2.3-vm/200:', 'pve-vm-9.0/200:', 'pve-vm-9.0/', '');
    fc.assert(
      fc.property(fc.array(fc.tuple(key, line)), (lines) => {
        const text = lines.map(([start, rest]) => start + rest).join('\n');
        for (const [id, found] of parseRrd(text, (one) => one === ID)) {
          expect(id).toBe(200);
          const { usedBytes, maxBytes, wallMs } = found;
          for (const value of [usedBytes, maxBytes, wallMs]) {
            expect(Number.isInteger(value) && value >= 0).toBe(true);
          }
        }
      }),
    );
  });
});

const LINE = { vmid: 200, name: 'web', cpus: 2, maxMib: 4096, usedMib: 1, heldMib: 1 };

describe('the file', () => {
  it('is due for those that need it, once in 30 s or for another one', () => {
    const root = temporaryDirectory();
    const clock = manualClock();
    const figures = new PvestatdFigures(createPaths(root), clock);
    const both = new Set([ID, vmid(201)]);
    plant(root, { 'etc/pve/.rrd': recent(1, 8) + recent(1, 9).replace('/200', '/201') });
    expect([figures.isDue(new Set()), figures.isDue(new Set([ID]))]).toEqual([false, true]);
    figures.read(new Set([ID]));
    expect(figures.of(ID)).toMatchObject({ value: { usedBytes: 8 } });
    expect(figures.of(vmid(201))).toMatchObject({ why: 'absent' });
    expect([figures.isDue(new Set([ID])), figures.isDue(both)]).toEqual([false, true]);
    figures.read(both);
    expect(figures.of(vmid(201))).toMatchObject({ value: { usedBytes: 9 } });
    clock.advance(29_999);
    expect(figures.isDue(both)).toBe(false);
    clock.advance(1);
    expect(figures.isDue(both)).toBe(true);
  });

  it('that could not be read is tried again at the next look', () => {
    const root = temporaryDirectory();
    const figures = new PvestatdFigures(createPaths(root), manualClock());
    figures.read(new Set([ID]));
    expect(figures.of(ID)).toMatchObject({ ok: false, why: 'absent' });
    expect(figures.isDue(new Set([ID]))).toBe(true);
    plant(root, { 'etc/pve/.rrd': recent(1, 8) });
    figures.read(new Set([ID]));
    expect(figures.of(ID).ok).toBe(true);
    expect(figures.isDue(new Set([ID]))).toBe(false);
  });
});
