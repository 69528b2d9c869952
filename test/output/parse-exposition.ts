/** Reads the text form of Prometheus back, strictly: throws for a line that it does not know. */

export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\[\\n"])*)"/g;

export function parseExposition(text: string): readonly Series[] {
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line has no end');
  const series: Series[] = [];
  for (const line of text.split('\n').slice(0, -1)) {
    if (/^# (HELP|TYPE) [a-z_]/.test(line)) continue;
    const [, name, , inside, value] =
      /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(.*)\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?)$/s.exec(line) ?? [];
    if (name === undefined || value === undefined) throw new Error(`no series: ${line}`);
    const labels: Record<string, string> = {};
    const rest = (inside ?? '').replace(LABEL, (_all, key: string, escaped: string) => {
      if (Object.hasOwn(labels, key)) throw new Error(`a label twice: ${line}`);
      labels[key] = escaped.replace(/\\(.)/gs, (_pair, c: string) => (c === 'n' ? '\n' : c));
      return '';
    });
    if (!/^,*$/.test(rest)) throw new Error(`labels cannot be read: ${line}`);
    series.push({ name, labels, value: Number(value) });
  }
  return series;
}
