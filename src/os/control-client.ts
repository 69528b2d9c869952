import { connect } from 'node:net';
import { MOST_PATH_BYTES } from './control-path.ts';
import { parseJsonObject } from './json-object.ts';
import { describeError, errorCode } from './os-error.ts';

/** The asking end of the control socket. */

export type ControlAnswer =
  | { readonly kind: 'answered'; readonly content: Readonly<Record<string, unknown>> }
  /** No daemon listens there. */
  | { readonly kind: 'nobody'; readonly why: string }
  /** The socket may not be opened by who asks. */
  | { readonly kind: 'forbidden'; readonly why: string }
  /** Somebody is there, and no answer came, or none that can be read. */
  | { readonly kind: 'failed'; readonly why: string };

const ANSWER_LIMIT_MS = 3000;
/** A thousand containers with every number of theirs are less than 2 MB. */
const MOST_ANSWER_BYTES = 32 * 1024 * 1024;

/** Asks the daemon one thing. All failures are values. */
export async function askControlSocket(path: string, request: object): Promise<ControlAnswer> {
  const length = Buffer.byteLength(path);
  if (length > MOST_PATH_BYTES) {
    const most = `at most ${MOST_PATH_BYTES} are possible`;
    return { kind: 'nobody', why: `the path of the socket has ${length} bytes, and ${most}` };
  }
  return new Promise((resolve) => {
    const socket = connect(path);
    const chunks: Buffer[] = [];
    let received = 0;
    const settle = (answer: ControlAnswer): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => {
      settle({ kind: 'failed', why: `it gave no answer within ${ANSWER_LIMIT_MS / 1000} s` });
    }, ANSWER_LIMIT_MS);
    socket.on('connect', () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on('error', (error) => settle(failureOf(error)));
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      received += chunk.length;
      if (received > MOST_ANSWER_BYTES) settle({ kind: 'failed', why: 'its answer has no end' });
      else if (chunk.includes(0x0a)) settle(parsed(Buffer.concat(chunks)));
    });
    socket.on('end', () => settle({ kind: 'failed', why: 'it ended without an answer' }));
  });
}

function parsed(answer: Buffer): ControlAnswer {
  const content = parseJsonObject(answer.toString('utf8').split('\n', 1)[0] ?? '');
  return content === undefined
    ? { kind: 'failed', why: 'its answer is no JSON object' }
    : { kind: 'answered', content };
}

/** ECONNREFUSED is the socket of a process that has died. */
function failureOf(error: Error): ControlAnswer {
  const code = errorCode(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'nobody', why: 'it is not running' };
  if (code === 'ECONNREFUSED' || code === 'ENOTSOCK') {
    return { kind: 'nobody', why: 'it is not running, and has not ended in order' };
  }
  const why = describeError(error);
  if (code === 'EACCES' || code === 'EPERM') return { kind: 'forbidden', why };
  return { kind: 'failed', why };
}
