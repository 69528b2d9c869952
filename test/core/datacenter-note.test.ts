import { describe, expect, it } from 'vitest';
import { withNote, withoutNote } from '../../src/core/datacenter-note.ts';

const URL = 'https://pve.lan:9732/';
const LINE = `[lxc-autoscale on pve1](${URL}) <!-- lxc-autoscale pve1 -->`;

describe.each([
  '',
  'Ours.',
  '# Title\r\n\r\n* a\n* b\n',
  'ends in blanks \n\n\n',
  'speaks of <!-- lxc-autoscale pve1 --> itself',
  'ünï 100 % \u0001',
])('beside %j', (notes) => {
  it('the link comes and goes, and nothing else changes', () => {
    const linked = withNote(notes, 'pve1', URL);
    expect(linked).toBe(notes === '' ? LINE : `${notes}\n\n${LINE}`);
    expect(withoutNote(linked, 'pve1')).toBe(notes);
    expect(withoutNote(notes, 'pve1')).toBe(notes);
  });

  it('another address takes the place of the one before, among what was written since', () => {
    const linked = `${withNote(notes, 'pve1', 'http://old/')}\nwritten since`;
    const again = withNote(linked, 'pve1', URL);
    expect(again).toBe(linked.replace('http://old/', URL));
    const rest = notes === '' ? 'written since' : `${notes}\nwritten since`;
    expect(withoutNote(again, 'pve1')).toBe(rest);
  });
});

it('each node has a line of its own', () => {
  const both = withNote(withNote('', 'pve1', URL), 'pve2', 'https://pve2/');
  expect(withoutNote(both, 'pve1')).toBe(withNote('', 'pve2', 'https://pve2/'));
  expect(withoutNote(both, 'pve2')).toBe(LINE);
});
