import { readFileSync } from 'node:fs';
import { load } from 'js-yaml';

/** The queries of the dashboard and of the alert rules, as Prometheus is to be asked them. */

const here = (name: string): string => new URL(`../grafana/${name}`, import.meta.url).pathname;

export const ALERTS_FILE = here('alerts.yaml');

export interface Query {
  /** Of the panel, the variable or the alert. */
  readonly title: string;
  readonly expression: string;
}

interface Panel {
  readonly title?: string;
  readonly targets?: readonly { readonly expr: string }[];
}

interface Dashboard {
  readonly panels: readonly Panel[];
  readonly annotations: {
    readonly list: readonly { readonly name: string; readonly expr: string }[];
  };
  readonly templating: {
    readonly list: readonly {
      readonly name: string;
      readonly query: string | { readonly query: string };
    }[];
  };
}

export const dashboard = (): Dashboard =>
  JSON.parse(readFileSync(here('lxc_autoscale.json'), 'utf8'));

/** As Grafana puts in what its variables stand for. */
const filledIn = (expression: string): string =>
  expression
    .replaceAll('$__rate_interval', '5m')
    .replaceAll('$instance', '.*')
    .replaceAll('$id', '.*');

export function dashboardQueries(): readonly Query[] {
  const { panels, templating, annotations } = dashboard();
  const inPanels = panels.flatMap(({ title = '', targets = [] }) =>
    targets.map(({ expr }) => ({ title, expression: filledIn(expr) })),
  );
  const inVariables = templating.list.flatMap(({ name, query }) => {
    const text = typeof query === 'string' ? query : query.query;
    const [, series, label] = /^label_values\((.*), (\w+)\)$/.exec(text) ?? [];
    if (series === undefined) return [];
    return [{ title: name, expression: `count by (${label}) (${filledIn(series)})` }];
  });
  const inLines = annotations.list.map(({ name, expr }) => ({
    title: name,
    expression: filledIn(expr),
  }));
  return [...inPanels, ...inVariables, ...inLines];
}

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly { readonly alert: string; readonly expr: string }[];
  }[];
}

export function alertQueries(): readonly Query[] {
  const { groups } = load(readFileSync(ALERTS_FILE, 'utf8')) as Rules;
  return groups.flatMap(({ rules }) =>
    rules.map(({ alert, expr }) => ({ title: alert, expression: expr })),
  );
}
