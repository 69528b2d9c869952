/** By which of several connections a node is seen. */

export const CONNECTIONS = ['api', 'ssh'] as const;
export type ConnectionName = (typeof CONNECTIONS)[number];

export interface Connection {
  readonly by: ConnectionName;
  /** Why it is not the one that comes first; left out: it is. */
  readonly why?: string;
}

export const CONNECTION_WORDS: Readonly<Record<ConnectionName, string>> = {
  api: 'the API',
  ssh: 'SSH',
};

/** `by SSH`. */
export const by = (connection: ConnectionName): string => `by ${CONNECTION_WORDS[connection]}`;

export const otherThan = (name: ConnectionName): ConnectionName => (name === 'api' ? 'ssh' : 'api');

/** `by SSH, since by the API: no answer within 10 s`. */
export const connectionWords = ({ by: name, why }: Connection): string =>
  why === undefined ? by(name) : `${by(name)}, since ${by(otherThan(name))}: ${why}`;
