import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * The certificate of `localhost` and 127.0.0.1 for servers in tests, and the authority that signed
 * it, which nobody trusts. Good for nothing else, so that its key may lie here.
 */

const path = (name: string): string =>
  fileURLToPath(new URL(`certificates/${name}`, import.meta.url));

export const AUTHORITY_FILE = path('authority.pem');
export const SERVER_TLS = {
  cert: readFileSync(path('server.pem')),
  key: readFileSync(path('server-key.pem')),
};
