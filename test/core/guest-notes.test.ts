import { describe, expect, it } from 'vitest';
import {
  LONGEST_NOTES,
  noteLine,
  notesIn,
  notesLines,
  withNote,
} from '../../src/core/guest-notes.ts';
import { milliseconds } from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';
import { coresChange } from './builders.ts';

const AT = milliseconds(Date.UTC(2026, 10, 30, 1, 50));
const LINE = 'lxc-autoscale, 2026-11-30 01:50 UTC: cores from 2 to 4 cores, since it is so';
const BLOCK = `<!-- lxc-autoscale -->\n${LINE}\n<!-- /lxc-autoscale -->`;
const OTHER = LINE.replace('4 cores', '3 cores');

const put = (notes: string, line = LINE): string => changed(notes, line);
const taken = (notes: string): string => changed(notes, undefined);

const changed = (notes: string, line: string | undefined): string => {
  const noted = withNote(notes, line);
  if (!noted.ok) throw new Error(noted.why);
  return noted.notes;
};

describe('the block in the notes of a guest', () => {
  it('stands alone, or after an empty line behind what is there', () => {
    expect(put('')).toBe(BLOCK);
    expect(put('# web\n\nask *Ann*')).toBe(`# web\n\nask *Ann*\n\n${BLOCK}`);
  });

  it('is replaced where it stands, and all else stays', () => {
    const notes = `before\n${BLOCK}\nafter \r\n\n`;
    expect(put(notes, OTHER)).toBe(notes.replace(LINE, OTHER));
    expect(put(notes)).toBe(notes);
  });

  it.each([
    ['', ''],
    ['text', 'text'],
    ['text\n', 'text\n'],
    ['  \tü 100% <b>', '  \tü 100% <b>'],
  ])('goes as it came: %j', (notes, after) => {
    expect(withNote(put(notes), undefined)).toEqual({ ok: true, notes: after });
  });

  it('goes with its empty line, and what was written after it stays', () => {
    expect(withNote(`a\n\n${BLOCK}\nb`, undefined)).toEqual({ ok: true, notes: 'a\nb' });
    expect(withNote(`${BLOCK}\nb`, undefined)).toEqual({ ok: true, notes: 'b' });
    expect(withNote('nothing of it', undefined)).toEqual({ ok: true, notes: 'nothing of it' });
  });

  it.each([
    ['half of it', `a\n<!-- lxc-autoscale -->\n${LINE}`],
    ['the other half', `${LINE}\n<!-- /lxc-autoscale -->`],
    ['the wrong way round', `<!-- /lxc-autoscale -->\n${LINE}\n<!-- lxc-autoscale -->`],
    ['two of them', `${BLOCK}\n${BLOCK}`],
    ['two beginnings', `<!-- lxc-autoscale -->\n${BLOCK}`],
    ['a mark within a line', `see ${BLOCK}`],
    ['a mark with text behind it', `${BLOCK} so`],
    ['nothing within', '<!-- lxc-autoscale -->\n<!-- /lxc-autoscale -->'],
    ['no line within', '<!-- lxc-autoscale --><!-- /lxc-autoscale -->'],
    ['text of others within', BLOCK.replace(LINE, 'the password is 1234')],
    ['a further line within', BLOCK.replace(LINE, `${LINE}\nand more`)],
    ['markup within', BLOCK.replace('it is so', '<img src=x onerror=alert(1)>')],
    ['other ends of lines', BLOCK.replaceAll('\n', '\r\n')],
  ])('is left as it is: %s', (_what, notes) => {
    for (const line of [LINE, undefined]) {
      expect(withNote(notes, line)).toMatchObject({ ok: false });
    }
  });

  it('is not written if there is no room, and nothing is cut', () => {
    const room = LONGEST_NOTES - BLOCK.length - 2;
    expect(put('😀'.repeat(room))).toMatch(/<!-- \/lxc-autoscale -->$/);
    expect(withNote('😀'.repeat(room + 1), LINE)).toEqual({
      ok: false,
      why: 'there is no room left in them: Proxmox VE takes 8192 characters',
    });
  });

  it('goes as it came, whatever was there', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (notes) => {
        const noted = withNote(notes, LINE);
        return !noted.ok || taken(noted.notes) === notes;
      }),
    );
  });
});

describe('the line', () => {
  it('has the numbers and the reason', () => {
    expect(noteLine([coresChange(101, 2, 4)], AT)).toMatch(
      /^lxc-autoscale, 2026-11-30 01:50 UTC: cores from 2 to 4 cores, since it uses /,
    );
  });

  it('names nobody, and has nothing that means something in Markdown', () => {
    const line = noteLine([coresChange(101, 2, 4, { askedBy: '<b>[x](http://y) `z`' })], AT);
    expect(line).toMatch(/it was asked for by hand/);
    const all = noteLine([coresChange(101, 2, 4, { unit: '<b> & [x] `_*\n' as 'cpulimit' })], AT);
    expect(all).not.toMatch(/[<>&[\]`_*\n]/);
    expect(put('', all)).toContain(all);
    expect(put(put('', all), LINE)).toBe(BLOCK);
  });
});

describe('the notes in a configuration', () => {
  const read = (text: string | Uint8Array): string | undefined => notesIn(Buffer.from(text));

  it('are its lines with #, decoded, up to the first section', () => {
    const text = '#autoscaled%3A yes\n\ncores: 2\n#100%25 %C3%BC 50% %zz\n#\n[s1]\n#other\n';
    expect(read(text)).toBe('autoscaled: yes\n100% ü 50% %zz');
    expect(read('cores: 2\n[PENDING]\n#not yet\n')).toBe('');
  });

  it.each([
    ['no UTF-8', '#%FF\n'],
    ['no UTF-8 as it stands', Buffer.from([0x23, 0xff, 0x0a])],
    ['in the old form', 'description: one\n#two\n'],
    ['behind something that is no section', '[a section]\n#x\n'],
  ])('are not known: %s', (_what, text) => {
    expect(read(text)).toBeUndefined();
  });

  it('come back as they were', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const notes = text.replace(/\n+$/, '');
        return read(`${notesLines(notes).join('\n')}\ncores: 2\n`) === notes;
      }),
    );
  });
});
