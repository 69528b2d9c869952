/**
 * A value that was read, or a typed reason why there is none. The whole program rests on these two
 * never being mixed up: a missing value is not zero, and nothing is scaled on it.
 */

/** Why a value is missing. Each one is an ordinary event on a live node, not an error of ours. */
export type MissingWhy =
  /** The file or directory is not there: stopped, destroyed or migrated, or the kernel lacks it. */
  | 'absent'
  /** It is there and could not be read (EACCES, EIO, ...). */
  | 'unreadable'
  /** It was read and does not say what it should. */
  | 'malformed'
  /** A rate needs two samples and this is the first of this container's life. */
  | 'first-sample'
  /** It was frozen at some time between the two samples, so that it could do nothing. */
  | 'frozen'
  /** A counter went back: the container was restarted, or the file lies. */
  | 'counter-reset'
  /** Two samples lie too close together, or the rate is more than the host could do. */
  | 'implausible';

export interface Missing {
  readonly ok: false;
  readonly why: MissingWhy;
  /** For a person: which file, what stood there. */
  readonly detail: string;
}

export interface Present<T> {
  readonly ok: true;
  readonly value: T;
}

export type Reading<T> = Present<T> | Missing;

export const present = <T>(value: T): Present<T> => ({ ok: true, value });

export const missing = (why: MissingWhy, detail: string): Missing => ({ ok: false, why, detail });
