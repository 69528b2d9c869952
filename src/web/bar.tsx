/** `used | need | limit` as a bar: filled, a tick, and the end of the track. */

export interface BarProps {
  /** undefined: not known. */
  readonly used: number | undefined;
  readonly need: number | undefined;
  /** undefined: there is no limit, or it is not known. */
  readonly limit: number | undefined;
  /** Where nothing above is known: what stands for the whole. */
  readonly whole?: number | undefined;
}

/** From this share of the limit on the colour says that it gets tight. */
const TIGHT = 0.8;

const percent = (part: number, whole: number): string =>
  `${Math.min(100, Math.max(0, (part / whole) * 100)).toFixed(1)}%`;

export type Level = 'ok' | 'tight' | 'short';

export function levelOf({ used, need, limit }: BarProps): Level {
  if (limit === undefined || limit <= 0) return 'ok';
  if (need !== undefined && need > limit * 1.001) return 'short';
  return used !== undefined && used >= limit * TIGHT ? 'tight' : 'ok';
}

/** It says nothing to a screen reader: the numbers stand beside it. */
export function Bar(props: BarProps) {
  const { used, need, limit, whole } = props;
  const end = Math.max(limit ?? whole ?? 0, need ?? 0, used ?? 0);
  if (end <= 0) return <span class="bar" aria-hidden="true" />;
  return (
    <span class="bar" data-level={levelOf(props)} aria-hidden="true">
      {limit !== undefined && <span class="bar-track" style={{ width: percent(limit, end) }} />}
      {used !== undefined && <span class="bar-used" style={{ width: percent(used, end) }} />}
      {need !== undefined && (
        <span class="bar-need" style={{ insetInlineStart: percent(need, end) }} />
      )}
    </span>
  );
}
