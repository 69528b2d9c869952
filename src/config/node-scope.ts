/** As Proxmox VE takes it for a node. */
export const NODE_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;

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
