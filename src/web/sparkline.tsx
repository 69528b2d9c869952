/** A day of a guest as a small curve: the share of its limit that was in use. */

const WIDTH = 72;
const HEIGHT = 18;

/** @param shares 0 to 1 of the limit, the oldest first; null: not known, which leaves a gap */
export function Sparkline({ shares }: { readonly shares: readonly (number | null)[] | undefined }) {
  if (shares === undefined || shares.every((share) => share === null)) return null;
  return (
    <svg
      class="spark"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      aria-hidden="true"
      focusable="false"
    >
      <path d={sparkPath(shares)} />
    </svg>
  );
}

export function sparkPath(shares: readonly (number | null)[]): string {
  const step = WIDTH / Math.max(1, shares.length - 1);
  let pen = 'M';
  return shares
    .flatMap((share, place) => {
      if (share === null) {
        pen = 'M';
        return [];
      }
      const y = (HEIGHT - 1) * (1 - Math.min(1, Math.max(0, share))) + 0.5;
      const point = `${pen}${(place * step).toFixed(1)} ${y.toFixed(1)}`;
      pen = 'L';
      return [point];
    })
    .join('');
}

/** A day of all guests, as the daemon says it: shares of the limit, by id. */
export interface SparksAnswer {
  readonly guests: Sparks;
}

export type Sparks = Readonly<
  Record<
    string,
    { readonly cpu: readonly (number | null)[]; readonly memory: readonly (number | null)[] }
  >
>;
