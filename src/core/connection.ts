/** By which of several connections a node is seen. */

export const CONNECTIONS = ['api', 'ssh'] as const;
export type ConnectionName = (typeof CONNECTIONS)[number];

export interface Connection {
  readonly by: ConnectionName;
  /** Why it is not the one that comes first; left out: it is. */
  readonly why?: string;
}

/** `by SSH`. */
export const BY: Readonly<Record<ConnectionName, string>> = { api: 'by the API', ssh: 'by SSH' };

/** `by SSH, since by the API: no answer within 10 s`. */
export const connectionWords = ({ by, why }: Connection): string =>
  why === undefined ? BY[by] : `${BY[by]}, since ${BY[by === 'api' ? 'ssh' : 'api']}: ${why}`;
