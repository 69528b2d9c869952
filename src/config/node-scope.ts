/** `pve1/web-*`: what stands for one node only, or for every node. */
export interface Scoped {
  /** In lower case; undefined: every node. */
  readonly node: string | undefined;
  readonly rest: string;
}

export function scopeOf(text: string): Scoped {
  const end = text.indexOf('/');
  if (end < 0) return { node: undefined, rest: text };
  return { node: text.slice(0, end).toLowerCase(), rest: text.slice(end + 1) };
}
