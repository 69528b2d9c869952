import { describe, expect, it } from 'vitest';
import { metricsText } from '../src/output/metrics.ts';
import { alertQueries, dashboard, dashboardQueries, type Query } from './grafana.ts';
import { everything } from './output/everything.ts';
import { parseExposition } from './output/parse-exposition.ts';

/** What stands in grafana/ is held against what the program really exposes. */

/** The labels of each metric that there is; Prometheus adds two to all. */
const exposed = new Map<string, Set<string>>();
for (const { name, labels } of parseExposition(metricsText(everything()))) {
  const known = exposed.get(name) ?? new Set(['instance', 'job']);
  for (const label of Object.keys(labels)) known.add(label);
  exposed.set(name, known);
}

const metricsIn = (expression: string): readonly string[] =>
  expression.match(/\blxc_autoscale_[a-z0-9_]+/g) ?? [];

/** `metric{label="..."}`: a metric and the labels that it is asked for. */
function selectorsIn(expression: string): ReadonlyArray<readonly [string, readonly string[]]> {
  return [...expression.matchAll(/\b(lxc_autoscale_[a-z0-9_]+)\{([^}]*)\}/g)].map(
    ([, metric = '', inside = '']) => [
      metric,
      [...inside.matchAll(/(\w+) *[!=]/g)].map(([, label = '']) => label),
    ],
  );
}

const both: readonly Query[] = [...dashboardQueries(), ...alertQueries()];

describe.each(both)('the query of "$title": $expression', ({ expression }) => {
  it('asks for metrics and labels that there are', () => {
    expect(metricsIn(expression).length).toBeGreaterThan(0);
    for (const metric of metricsIn(expression)) expect([...exposed.keys()]).toContain(metric);
    for (const [metric, labels] of selectorsIn(expression)) {
      for (const label of labels) expect([...(exposed.get(metric) ?? [])]).toContain(label);
    }
    const all = new Set(metricsIn(expression).flatMap((one) => [...(exposed.get(one) ?? [])]));
    for (const [, list = ''] of expression.matchAll(/\b(?:by|on|group_left) \(([^)]*)\)/g)) {
      for (const label of list.split(', ')) expect([...all]).toContain(label);
    }
  });
});

describe('the dashboard', () => {
  it('asks the data source that is chosen in it, wherever it asks', () => {
    const sources: unknown[] = [];
    JSON.stringify(dashboard(), (key, value) => {
      if (key === 'datasource') sources.push(value);
      return value;
    });
    expect(sources.length).toBeGreaterThan(30);
    const chosen = { type: 'prometheus', uid: `$${'{datasource}'}` };
    for (const one of sources) expect(one).toEqual(chosen);
  });

  it('has panels with ids of their own that do not lie on one another', () => {
    const panels = dashboard().panels as unknown as ReadonlyArray<{
      id: number;
      gridPos: { x: number; y: number; w: number; h: number };
    }>;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const taken = new Set<string>();
    for (const { gridPos } of panels) {
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          expect(taken.has(`${x}/${y}`)).toBe(false);
          expect(x).toBeLessThan(24);
          taken.add(`${x}/${y}`);
        }
      }
    }
  });

  it('shows every figure of a container that a person would look at', () => {
    const shown = new Set(dashboardQueries().flatMap(({ expression }) => metricsIn(expression)));
    for (const name of ['cpu_used_cores', 'memory_used_bytes', 'held', 'pressure_ratio']) {
      expect([...shown]).toContain(`lxc_autoscale_container_${name}`);
    }
  });
});
