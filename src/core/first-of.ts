/** The first so many, and how many there are besides: `101, 102, and 3 more`. */
export function firstOf(all: readonly (string | number)[], most: number, between = ', '): string {
  const more = all.length - most;
  return all.slice(0, most).join(between) + (more > 0 ? `${between}and ${more} more` : '');
}
