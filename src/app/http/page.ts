import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { describeError } from '../../os/os-error.ts';
import { takesGzip } from './json-answer.ts';

/** The page: one file, whose scripts and styles are the only ones that a browser may run. */

interface Page {
  readonly plain: Buffer;
  readonly packed: Buffer;
  readonly policy: string;
}

let page: { readonly file: string; readonly content: Page } | undefined;

/** Read once, when a browser first asks for it. */
export function pageAnswer(file: string, request: Request): Response {
  if (page?.file !== file) page = { file, content: readPage(file) };
  const { plain, packed, policy } = page.content;
  const isPacked = takesGzip(request);
  const about = {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': policy,
    vary: 'accept-encoding',
    ...(isPacked && { 'content-encoding': 'gzip' }),
  };
  return new Response(new Uint8Array(isPacked ? packed : plain), { headers: about });
}

function readPage(file: string): Page {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    text = withoutPage(describeError(error));
  }
  const plain = Buffer.from(text);
  return { plain, packed: gzipSync(plain), policy: policyOf(text) };
}

const withoutPage = (why: string): string =>
  '<!doctype html><html lang="en"><title>lxc-autoscale</title>' +
  `<p>The file of the page is not there (${why.replaceAll('<', '&lt;')}). ` +
  'The API is at <a href="api/v1/openapi.json">api/v1</a>.</p></html>\n';

/** No script and no style but those that the file itself has; nothing from elsewhere. */
function policyOf(html: string): string {
  const hashes = (tag: string): string => {
    const found = [...html.matchAll(new RegExp(`<${tag}(?:\\s[^>]*)?>([\\s\\S]*?)</${tag}>`, 'g'))];
    const sums = found.map(([, inner = '']) => createHash('sha256').update(inner).digest('base64'));
    return sums.length === 0 ? "'none'" : sums.map((sum) => `'sha256-${sum}'`).join(' ');
  };
  return [
    "default-src 'none'",
    `script-src ${hashes('script')}`,
    `style-src ${hashes('style')}`,
    "img-src 'self' data:",
    "connect-src 'self'",
    "form-action 'none'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
