import { describe, expect, it } from 'vitest';
import { createExposition } from '../../src/output/exposition.ts';
import { fc } from '../fast-check.ts';
import { parseExposition } from './parse-exposition.ts';

describe('an exposition', () => {
  it('has help, type and series of each metric', () => {
    const out = createExposition();
    out.family('a_total', 'counter', 'How many\nof \\ them.', (add) => {
      add.sample({}, 3);
      add.sample({ id: 'lxc/101', n: 1 }, 0.5);
    });
    out.family('b', 'summary', 'Two.', (add) => {
      add.sample({ s: 'x' }, 1, '_sum');
      add.sample({ s: 'x' }, 2, '_count');
    });
    expect(out.text()).toBe(
      [
        '# HELP a_total How many\\nof \\\\ them.',
        '# TYPE a_total counter',
        'a_total 3',
        'a_total{id="lxc/101",n="1"} 0.5',
        '# HELP b Two.',
        '# TYPE b summary',
        'b_sum{s="x"} 1',
        'b_count{s="x"} 2',
        '',
      ].join('\n'),
    );
  });

  it('leaves out what is not known, and a metric of which nothing is', () => {
    const out = createExposition();
    for (const value of [undefined, Number.NaN, Number.POSITIVE_INFINITY]) {
      out.family('a', 'gauge', 'A.', (add) => add.sample({}, value));
    }
    expect(out.text()).toBe('');
    out.family('b', 'gauge', 'B.', (add) => add.sample({}, 0));
    expect(out.text()).toBe('# HELP b B.\n# TYPE b gauge\nb 0\n');
  });

  it('can be read back, whatever stands in a label', () => {
    const special = fc.constantFrom('\\', '"', '\n', '{', '}', ',', '=', 'n', 'é', '\r');
    fc.assert(
      fc.property(fc.string({ unit: special }), fc.double({ noNaN: true }), (text, value) => {
        fc.pre(Number.isFinite(value));
        const out = createExposition();
        out.family('a', 'gauge', text, (add) => add.sample({ id: 'x', text }, value));
        const [series, ...more] = parseExposition(out.text());
        expect(more).toEqual([]);
        expect(series).toEqual({ name: 'a', labels: { id: 'x', text }, value: value + 0 });
      }),
    );
  });
});
