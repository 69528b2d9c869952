import { expect, it } from 'vitest';
import { parseVariables } from '../../src/config/variables-file.ts';

it.each<[string, Record<string, string>]>([
  ['', {}],
  ['A=1', { A: '1' }],
  ['A=1\nB=2\nA=3\n', { A: '3', B: '2' }],
  ['# A=1\n; B=2\n\n  C=3  \n', { C: '3' }],
  ['A="b c"\nB=\'d "e"\'\nC="f', { A: 'b c', B: 'd "e"', C: '"f' }],
  ['A="x\\"y\\\\z\\n"', { A: 'x"y\\z\\n' }],
  ["A='x\\\\y'\nB=x\\y", { A: 'x\\\\y', B: 'x\\y' }],
  ['A=b=c#d', { A: 'b=c#d' }],
  ['A=\r\nB="" \r\n', { A: '', B: '' }],
  ['no line\n=x\n1A=x\nA B=x\nA-B=x\nexport C=x', {}],
  ['__proto__=x\nconstructor=y', { ...JSON.parse('{"__proto__":"x"}'), constructor: 'y' }],
])('%j sets what it says', (text, expected) => {
  expect(Object.entries(parseVariables(text))).toEqual(Object.entries(expected));
});
