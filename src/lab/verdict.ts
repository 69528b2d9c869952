import type { Figures } from './score.ts';
import type { Trial } from './trial.ts';

/** What the figures of a backtest come to, in words. */

/** It knows the future, so it only shows what could be had. */
const UNREAL = 'oracle';

interface Ranked {
  readonly policy: string;
  readonly slack: number;
  readonly short: number;
}

/** A sentence for each resource that was replayed; none if there is nothing to compare. */
export function verdictOf(trials: readonly Trial[]): readonly string[] {
  const real = trials.filter(({ policy }) => policy !== UNREAL);
  if (real.length < 2) return [];
  return [
    ...resourceWords('CPU', real, ({ cpu }) => cpu),
    ...resourceWords('Memory', real, ({ memory }) => memory),
  ];
}

function resourceWords(
  title: string,
  trials: readonly Trial[],
  of: (one: Trial) => Figures | undefined,
): readonly string[] {
  const ranked = trials.flatMap((one): Ranked[] => {
    const figures = of(one);
    return figures === undefined
      ? []
      : [{ policy: one.policy, slack: figures.slack, short: figures.short }];
  });
  const [safest] = [...ranked].sort((a, b) => a.short - b.short || a.slack - b.slack);
  const [leanest] = [...ranked].sort((a, b) => a.slack - b.slack || a.short - b.short);
  if (safest === undefined || leanest === undefined) return [];
  if (safest.policy === leanest.policy) {
    return [`${title}: ${safest.policy} is best in both: ${words(safest)}.`];
  }
  return [
    `${title}: ${safest.policy} is the safest: ${words(safest)}. ` +
      `${leanest.policy} wastes least: ${words(leanest)}.`,
  ];
}

const words = ({ slack, short }: Ranked): string =>
  `${(slack * 100).toFixed(1)} % unused, ` +
  (short === 0 ? 'never too little' : `too little in ${percent(short)} of the steps`);

/** Not as 0: that would be never. */
const percent = (share: number): string =>
  share < 0.000_01 ? 'less than 0.001 %' : `${(share * 100).toFixed(3)} %`;
