import { useEffect, useRef } from 'preact/hooks';
import UPlot from 'uplot';
import type { Series } from './usage-series.ts';
import { seriesWords } from './usage-series.ts';

/** Usage against limit over time, with a mark at each change. */

export interface Mark {
  readonly atS: number;
  readonly isUp: boolean | undefined;
}

export interface UsagePlotProps {
  readonly title: string;
  readonly series: Series;
  readonly marks: readonly Mark[];
  readonly words: (value: number) => string;
  /** By how much one line of the grid may be above the next. */
  readonly steps: readonly number[];
  /** Charts with the same key share their cursor. */
  readonly group: string;
  /** Changes with the colours of the page. */
  readonly theme: string;
}

const HEIGHT = 190;

export function UsagePlot(props: UsagePlotProps) {
  const { title, series, words, theme, marks, group } = props;
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot>(undefined);
  const known = useRef(props);
  known.current = props;
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const made = new UPlot(optionsOf(element, group, known), dataOf(known.current.series), element);
    plot.current = made;
    const fit = new ResizeObserver(() => made.setSize({ width: widthOf(element), height: HEIGHT }));
    fit.observe(element);
    return () => {
      fit.disconnect();
      made.destroy();
    };
  }, [theme, group]);
  useEffect(() => plot.current?.setData(dataOf(series)), [series, marks]);
  const label = `${title} over time: ${seriesWords(series, words)}; ${marks.length} changes`;
  return <div class="plot" ref={place} role="img" aria-label={label} />;
}

const widthOf = (element: HTMLElement): number => Math.max(200, element.clientWidth);

const dataOf = ({ times, used, limit }: Series): UPlot.AlignedData => [
  [...times],
  [...used],
  [...limit],
];

interface Colours {
  readonly ink: string;
  readonly line: string;
  readonly used: string;
  readonly fill: string;
}

/** A canvas knows no custom properties: the browser says what they come to. */
function coloursOf(element: HTMLElement): Colours {
  const of = (name: string): string => {
    element.style.color = `var(--${name})`;
    const { color } = getComputedStyle(element);
    element.style.color = '';
    return color;
  };
  return { ink: of('muted'), line: of('line'), used: of('accent'), fill: of('accent-soft') };
}

function optionsOf(
  element: HTMLElement,
  group: string,
  known: { readonly current: UsagePlotProps },
): UPlot.Options {
  const { ink, line, used, fill } = coloursOf(element);
  const words = (value: number): string => known.current.words(value);
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { show: false }, gap: 4 };
  const font = '11px system-ui, sans-serif';
  return {
    width: widthOf(element),
    height: HEIGHT,
    pxAlign: 1,
    padding: [10, 8, 0, 0],
    cursor: { sync: { key: group }, points: { size: 7 }, drag: { x: false, y: false } },
    legend: { live: true },
    scales: { y: { range: (_plot, _least, most) => [0, (most || 1) * 1.08] } },
    axes: [
      { ...axis, font, size: 26, space: 70, values: timeLabels },
      {
        ...axis,
        font,
        size: 58,
        space: 34,
        incrs: [...known.current.steps],
        values: (_plot, splits) => splits.map((value) => words(value)),
      },
    ],
    series: [
      { label: 'Time', value: (_plot, value) => (value === null ? '–' : clock(value, true)) },
      {
        label: 'used',
        stroke: used,
        width: 1.5,
        fill,
        points: { show: false },
        value: (_plot, value) => (value === null ? '–' : words(value)),
      },
      {
        label: 'limit',
        stroke: ink,
        width: 1.5,
        points: { show: false },
        ...(UPlot.paths.stepped && { paths: UPlot.paths.stepped({ align: -1 }) }),
        value: (_plot, value) => (value === null ? '–' : words(value)),
      },
    ],
    hooks: { draw: [(plot) => drawMarks(plot, known.current.marks, { ink, used })] },
  };
}

const twoDigits = (value: number): string => String(value).padStart(2, '0');

/** `14:05`, with the day where one begins or it is asked for: `28 Nov 14:05`. */
function clock(timeS: number, withDay: boolean): string {
  const date = new Date(timeS * 1000);
  const time = `${twoDigits(date.getHours())}:${twoDigits(date.getMinutes())}`;
  if (!withDay) return time;
  return `${date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })} ${time}`;
}

const timeLabels = (_plot: UPlot, splits: number[]): string[] => {
  const isLong = (splits.at(-1) ?? 0) - (splits[0] ?? 0) > 2 * 86_400;
  return splits.map((timeS) =>
    isLong
      ? new Date(timeS * 1000).toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })
      : clock(timeS, false),
  );
};

function drawMarks(
  plot: UPlot,
  marks: readonly Mark[],
  { ink, used }: Pick<Colours, 'ink' | 'used'>,
): void {
  const { ctx, bbox } = plot;
  const { min = 0, max = 0 } = plot.scales['x'] ?? {};
  const size = 5 * devicePixelRatio;
  ctx.save();
  for (const { atS, isUp } of marks) {
    if (atS < (min ?? 0) || atS > (max ?? 0)) continue;
    const x = Math.round(plot.valToPos(atS, 'x', true));
    const top = bbox.top;
    ctx.strokeStyle = ink;
    ctx.globalAlpha = 0.45;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, top + bbox.height);
    ctx.stroke();
    ctx.globalAlpha = 1;
    ctx.fillStyle = used;
    ctx.beginPath();
    const [base, tip] = isUp === false ? [top - size, top] : [top, top - size];
    ctx.moveTo(x - size, base);
    ctx.lineTo(x + size, base);
    ctx.lineTo(x, tip);
    ctx.fill();
  }
  ctx.restore();
}
