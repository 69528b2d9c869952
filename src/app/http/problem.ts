/** What a request is answered that cannot be met: a stable code, and a sentence for people. */

const STATUS_OF = {
  'wrong-request': 400,
  'login-needed': 401,
  'wrong-login': 401,
  'second-factor': 401,
  role: 403,
  csrf: 403,
  'foreign-origin': 403,
  'no-such-route': 404,
  'no-such-guest': 404,
  'no-such-group': 404,
  'no-such-node': 404,
  'other-method': 405,
  refused: 409,
  'which-node': 409,
  'dry-run': 409,
  'confirm-needed': 409,
  'too-large': 413,
  host: 421,
  'too-many-wrong': 429,
  internal: 500,
  'not-here': 501,
  failed: 502,
  starting: 503,
  busy: 503,
  'too-many-listeners': 503,
} as const;

export type ProblemCode = keyof typeof STATUS_OF;
export const PROBLEM_CODES = Object.keys(STATUS_OF) as readonly ProblemCode[];

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Content Too Large',
  421: 'Misdirected Request',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
};

/** Throws if whoever asked has gone: nobody is there for whom the work would be done. */
export function refuseGone(gone: AbortSignal): void {
  if (gone.aborted) throw new HttpProblem('busy', 'Whoever asked has not waited');
}

/** Thrown by what answers a request; the router makes an answer of it. */
export class HttpProblem extends Error {
  readonly code: ProblemCode;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ProblemCode, detail: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail);
    this.code = code;
    this.headers = headers;
  }

  get status(): number {
    return STATUS_OF[this.code];
  }

  /** As RFC 9457 has it. */
  toJSON(): object {
    const { status, code, message: detail } = this;
    return { type: 'about:blank', title: TITLES[status] ?? '', status, code, detail };
  }
}
