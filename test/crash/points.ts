/**
 * Where a process can be cut off: before each of its writes and commands, in the middle of it, and
 * after the last one. After one of them is the same as before the next.
 */

/** A write or a command, as the hook lists it. */
export interface Touch {
  readonly name: string;
  /** Of those of this name. */
  readonly nth: number;
  readonly kind: 'write' | 'command';
  readonly call: string;
  readonly path?: string;
  readonly argv?: readonly string[];
}

export type When =
  | 'before'
  /** The file is opened, and nothing is written yet. */
  | 'empty'
  /** Half of it is written. */
  | 'half'
  | 'after'
  /** A command of the node that dies with the process: it has not done anything yet. */
  | 'begun, and it dies too'
  /** ... has done the first of several things. */
  | 'half done, and it dies too'
  /** ... has changed what is live, and the configuration does not say so. */
  | 'live, and it dies too'
  /** A command of the node that ends by itself, before the next life begins. */
  | 'begun, and it goes on'
  /** ... when the next life has begun to look. */
  | 'begun, and it goes on for long'
  /** It is done, and nobody hears so. */
  | 'done, and not heard';

export interface Point {
  readonly name: string;
  readonly nth: number;
  readonly when: When;
}

export const sayPoint = ({ name, nth, when }: Point): string => `${when}: ${name}, no. ${nth}`;

/** Tools that the simulated node has, so that it can cut them off as well. */
const NODE_TOOLS: ReadonlySet<string | undefined> = new Set(['pct', 'pvesh']);

/** All points of a run. */
export function pointsOf(touches: readonly Touch[]): readonly Point[] {
  const points = touches.flatMap((touch, index) => {
    const { name, nth } = touch;
    const previous = touches[index - 1];
    return whensOf(touch, previous).map((when): Point => ({ name, nth, when }));
  });
  const last = touches.at(-1);
  if (last !== undefined) points.push({ name: last.name, nth: last.nth, when: 'after' });
  return points;
}

function whensOf(touch: Touch, previous: Touch | undefined): readonly When[] {
  if (touch.kind === 'command') return whensOfCommand(touch.argv ?? []);
  if (/^(write|appendFile) /.test(touch.name)) return ['before', 'half'];
  if (!touch.name.startsWith('writeFile ')) return ['before'];
  const isOpen = previous?.path === touch.path && previous?.name.startsWith('open ') === true;
  return isOpen ? ['before', 'half'] : ['before', 'empty', 'half'];
}

function whensOfCommand(argv: readonly string[]): readonly When[] {
  // What it does in its own time is its own; it goes on alone.
  if (!NODE_TOOLS.has(argv[0])) return ['before', 'after'];
  const whens: When[] = ['before', 'begun, and it dies too'];
  if (argv[1] === 'set') {
    const options = argv.filter((word) => word.startsWith('--') && word !== '--digest');
    if (options.length > 1) whens.push('half done, and it dies too');
    whens.push('live, and it dies too');
  }
  whens.push('begun, and it goes on', 'begun, and it goes on for long', 'done, and not heard');
  return whens;
}

/** One of each kind: the first time that a file is written to in a way, or a command begun. */
export function oneOfEach(points: readonly Point[]): readonly Point[] {
  return points.filter(({ nth, name, when }, index) => {
    if (nth > 1 && when !== 'after') return false;
    const isFirst = points.findIndex((one) => one.name === name && one.when === when) === index;
    return isFirst;
  });
}
