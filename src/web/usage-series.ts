/** The usage of one guest as columns for a chart. Pure. */

/** As the daemon says it: the oldest row first, null where a value is not known. */
export interface UsageAnswer {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (number | null)[])[];
}

export interface Series {
  /** Seconds since 1970. */
  readonly times: readonly number[];
  readonly used: readonly (number | null)[];
  readonly limit: readonly (number | null)[];
}

const COLUMNS = {
  cores: { used: 'cpuCores', limit: 'cpuAllowed' },
  memory: { used: 'memoryMib', limit: 'memoryLimitMib' },
} as const;

export function seriesOf({ columns, rows }: UsageAnswer, resource: 'cores' | 'memory'): Series {
  const column = (name: string) => {
    const index = columns.indexOf(name);
    return rows.map((row) => row[index] ?? null);
  };
  const { used, limit } = COLUMNS[resource];
  return { times: column('timeS').map(Number), used: column(used), limit: column(limit) };
}

/** `used 0.03 to 4.2, limit 1 to 8`: what a chart shows, for those who do not see it. */
export function seriesWords({ used, limit }: Series, words: (value: number) => string): string {
  const range = (values: readonly (number | null)[]): string => {
    const known = values.filter((value) => value !== null);
    if (known.length === 0) return 'not known';
    const [least, most] = [Math.min(...known), Math.max(...known)].map(words);
    return least === most ? `${least}` : `${least} to ${most}`;
  };
  return `used ${range(used)}; limit ${range(limit)}`;
}
