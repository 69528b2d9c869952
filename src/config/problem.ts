import { printable } from './printable.ts';

/** What is wrong with a configuration file, or a remark about it; one line for a person. */
export interface Problem {
  /** The file as the admin knows it. */
  readonly file: string;
  /** 1-based; undefined if it concerns the whole file. */
  readonly line: number | undefined;
  /** The key or section; undefined if it concerns the whole file or a line as such. */
  readonly key: string | undefined;
  /** What is wrong and what is allowed. Never a secret, nor a value that came from a variable. */
  readonly message: string;
}

const MAX_FILE_CHARS = 4096;
const MAX_KEY_CHARS = 80;

/** `file:line: KEY: what is wrong, what is allowed`, without control characters. */
export function renderProblem(problem: Problem): string {
  const file = printable(problem.file, MAX_FILE_CHARS);
  const place = problem.line === undefined ? file : `${file}:${problem.line}`;
  const key = problem.key === undefined ? '' : `${printable(problem.key, MAX_KEY_CHARS)}: `;
  return `${place}: ${key}${problem.message}`;
}
