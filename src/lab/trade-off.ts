import { escapeHtml } from './escape-html.ts';

/** Slack against starvation, one point for each policy, as an inline SVG. */

export interface TradeOffPoint {
  readonly policy: string;
  readonly slack: number;
  readonly short: number;
}

const WIDTH = 520;
const HEIGHT = 340;
const LEFT = 64;
const BOTTOM = 44;
const TOP = 34;
const RIGHT = 28;
/** Less than one step in 20,000 is drawn as that: the axis is logarithmic. */
const LEAST_SHORT = 0.00005;
const TICKS = [0.0001, 0.001, 0.01, 0.1];

export function tradeOff(title: string, points: readonly TradeOffPoint[]): string {
  const most = Math.max(0.02, ...points.map(({ short }) => short)) * 1.5;
  const decades = Math.log10(most / LEAST_SHORT);
  const x = (slack: number): number => LEFT + slack * (WIDTH - LEFT - RIGHT);
  const y = (short: number): number => {
    const height = Math.log10(Math.max(short, LEAST_SHORT) / LEAST_SHORT) / decades;
    return HEIGHT - BOTTOM - height * (HEIGHT - BOTTOM - TOP);
  };
  const curve = points
    .filter(({ policy }) => policy.startsWith('adaptive'))
    .sort((a, b) => a.slack - b.slack)
    .map(({ slack, short }) => `${x(slack).toFixed(1)},${y(short).toFixed(1)}`);
  const line = curve.length < 2 ? '' : `<polyline class="curve" points="${curve.join(' ')}"/>`;
  return `<svg class="plot" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img"
aria-label="${title}: slack against steps that were short">
<text x="${LEFT}" y="18" class="title">${title}</text>${grid(x, y, most)}${line}
${dots(points, x, y)}
<text x="${(LEFT + WIDTH) / 2}" y="${HEIGHT - 6}" text-anchor="middle">slack</text>
<text x="14" y="${HEIGHT / 2}" transform="rotate(-90 14 ${HEIGHT / 2})"
text-anchor="middle">short steps</text></svg>`;
}

function grid(x: (slack: number) => number, y: (short: number) => number, most: number): string {
  const bottom = HEIGHT - BOTTOM;
  const across = [0, 0.2, 0.4, 0.6, 0.8, 1].map(
    (slack) => `<line x1="${x(slack)}" y1="${TOP}" x2="${x(slack)}" y2="${bottom}"/>
<text x="${x(slack)}" y="${bottom + 16}" text-anchor="middle">${Math.round(slack * 100)} %</text>`,
  );
  const up = TICKS.filter((short) => short <= most).map(
    (short) => `<line x1="${LEFT}" y1="${y(short)}" x2="${WIDTH - RIGHT}" y2="${y(short)}"/>
<text x="${LEFT - 6}" y="${y(short) + 4}" text-anchor="end">${short * 100} %</text>`,
  );
  return `<g class="grid">${across.join('')}${up.join('')}</g>`;
}

interface Label {
  readonly left: number;
  readonly right: number;
  readonly y: number;
}

const LETTER_WIDTH = 6.5;
const LABEL_HEIGHT = 11;

const RADIUS = 5;

/** No name stands on another one, on a point, or below the axis. */
function dots(
  points: readonly TradeOffPoint[],
  x: (slack: number) => number,
  y: (short: number) => number,
): string {
  const placed: Label[] = points.map(({ slack, short }) => {
    const at = x(slack);
    return { left: at - RADIUS, right: at + RADIUS, y: y(short) + RADIUS };
  });
  const upwards = [...points].sort((a, b) => b.short - a.short);
  return upwards
    .map((point) => {
      const at = x(point.slack);
      const width = point.policy.length * LETTER_WIDTH;
      const onLeft = at + 8 + width > WIDTH;
      const left = onLeft ? at - 8 - width : at + 8;
      const down = y(point.short) > HEIGHT / 2 ? -1 : 1;
      let label = y(point.short) - 6;
      const meets = (other: Label): boolean =>
        other.left < left + width && left < other.right && Math.abs(other.y - label) < LABEL_HEIGHT;
      while (placed.some(meets)) label += down;
      placed.push({ left, right: left + width, y: label });
      return dot(point, at, y(point.short), { x: onLeft ? at - 8 : at + 8, y: label, onLeft });
    })
    .join('\n');
}

interface Placed {
  readonly x: number;
  readonly y: number;
  readonly onLeft: boolean;
}

function dot({ policy, slack, short }: TradeOffPoint, x: number, y: number, label: Placed): string {
  const own = policy.startsWith('adaptive') || policy === 'threshold' || policy === 'configured';
  const name = escapeHtml(policy);
  const says = `${name}: slack ${(slack * 100).toFixed(1)} %, short ${(short * 100).toFixed(3)} %`;
  return `<g class="${own ? 'own' : 'other'}"><title>${says}</title><circle cx="${x.toFixed(1)}"
cy="${y.toFixed(1)}" r="${RADIUS}"/><text x="${label.x.toFixed(1)}" y="${label.y.toFixed(1)}"
text-anchor="${label.onLeft ? 'end' : 'start'}">${name}</text></g>`;
}
