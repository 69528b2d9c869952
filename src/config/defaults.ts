import type { CpuUnit } from '../core/policy.ts';
import { type DefaultValues, KEYS, usualValues } from './keys.ts';
import type { UpAndDown } from './schema.ts';

type Pair = 'cooldown_seconds' | 'evaluation_periods';

/** All values of a section, none left out in a pair either. */
export type EffectiveValues<V extends Pick<DefaultValues, Pair>> = Omit<V, Pair> &
  Readonly<Record<Pair, UpAndDown<number>>>;

/** What holds where a key of `DEFAULT` is left out. */
export const DEFAULTS: EffectiveValues<DefaultValues> = usualValues(KEYS.default);

/** The same where a section scales by that unit: fractions of a core go in smaller steps. */
export const builtIn = (unit: CpuUnit): EffectiveValues<DefaultValues> =>
  unit === 'cores' ? DEFAULTS : { ...DEFAULTS, core_min_increment: 0.1 };

/** What `DEFAULT` comes to; for a tier, below it, with the tier's unit. */
export const inForce = (
  own: Partial<DefaultValues>,
  unit: CpuUnit = own.cpu_unit ?? DEFAULTS.cpu_unit,
): EffectiveValues<DefaultValues> => over<DefaultValues>(builtIn(unit), own);

/** The values of a section over those of the section below it. */
export function over<V extends Pick<DefaultValues, Pair>>(
  below: EffectiveValues<V>,
  own: Partial<V>,
): EffectiveValues<V> {
  const pair = (key: Pair): UpAndDown<number> => ({
    up: own[key]?.up ?? below[key].up,
    down: own[key]?.down ?? below[key].down,
  });
  const pairs = {
    cooldown_seconds: pair('cooldown_seconds'),
    evaluation_periods: pair('evaluation_periods'),
  };
  return { ...below, ...own, ...pairs };
}

/** What holds where a key of a `HORIZONTAL_SCALING_GROUP_*` section is left out. */
export const GROUP_DEFAULTS = usualValues(KEYS.group);
