import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';

const pack = promisify(gzip);
/** What is shorter fits into one or two packets anyway; the CSRF text of a session is in such. */
const LEAST_CHARACTERS = 4096;

export const takesGzip = ({ headers }: Request): boolean =>
  /\bgzip\b/.test(headers.get('accept-encoding') ?? '');

/** An answer as JSON, packed if it is long and whoever asks can unpack it. */
export async function jsonAnswer(content: object, request: Request): Promise<Response> {
  const text = JSON.stringify(content);
  const headers = { 'content-type': 'application/json', vary: 'accept-encoding' };
  if (text.length < LEAST_CHARACTERS || !takesGzip(request)) return new Response(text, { headers });
  const packed = await pack(text, { level: constants.Z_BEST_SPEED });
  return new Response(new Uint8Array(packed), {
    headers: { ...headers, 'content-encoding': 'gzip' },
  });
}
