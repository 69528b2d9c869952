import { plainText } from '../core/plain-text.ts';

/** What is wrong with a connection, in words that say what to do. */

const UNKNOWN_AUTHORITY = 'its certificate is signed by an unknown authority';

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'no such host: its name could not be resolved',
  EAI_AGAIN: 'its name could not be resolved: no name server answers',
  EHOSTUNREACH: 'there is no route to it',
  ENETUNREACH: 'there is no route to it',
  ETIMEDOUT: 'it does not answer',
  ECONNRESET: 'it closed the connection before its answer was complete',
  EPIPE: 'it closed the connection before its answer was complete',
  ERR_STREAM_PREMATURE_CLOSE: 'it closed the connection before its answer was complete',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by itself',
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet; is the clock right?',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
  EPROTO: 'it does not speak TLS there',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS there',
};

const SETTINGS = new Set(
  Object.keys(WORDS).filter((code) => /CERT|SIGNATURE|EPROTO|SSL/.test(code)),
);

/** Who signed the certificate is not trusted. */
const UNTRUSTED: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
]);

/** Whether it is the certificate that keeps the connection from being made. */
export const isCertificateError = (error: unknown): boolean =>
  codesOf(error).some((code) => /CERT|SIGNATURE/.test(code));

/** Whether it stays like that until somebody mends the configuration. */
export const isForSettings = (error: unknown): boolean =>
  codesOf(error).some((code) => SETTINGS.has(code));

/** @param trust what to do if it is not known who signed the certificate */
export function describeNetworkError(error: unknown, trust?: string): string {
  const codes = codesOf(error);
  const known = codes.find((code) => WORDS[code] !== undefined);
  const remedy = trust !== undefined && codes.some((code) => UNTRUSTED.has(code)) ? trust : '';
  if (known !== undefined) return `${WORDS[known]}${remedy && `; ${remedy}`} (${known})`;
  if (codes.some((code) => code.startsWith('HPE_'))) return 'it does not speak HTTP there';
  const told = error instanceof Error ? error.message : String(error);
  const message = told.replace(/^request to \S+ failed, reason: /, '');
  // The messages of node-fetch hold the address, and addresses may hold secrets.
  return plainText(message.replace(/https?:\/\/\S+/g, 'the address'), 300);
}

/** What a message tells of an error whose code was replaced by another, as nodemailer does. */
const BY_MESSAGE: readonly (readonly [RegExp, string])[] = [
  [/self.signed certificate in certificate chain/i, 'SELF_SIGNED_CERT_IN_CHAIN'],
  [/self.signed certificate/i, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  [/unable to (?:verify|get) .*(?:certificate|issuer)/i, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  [/certificate has expired/i, 'CERT_HAS_EXPIRED'],
  [/altnames/i, 'ERR_TLS_CERT_ALTNAME_INVALID'],
  [/wrong version number|packet length too long/i, 'EPROTO'],
  [/closed unexpectedly|before secure TLS|socket hang up/i, 'ECONNRESET'],
  [/timeout|never received/i, 'ETIMEDOUT'],
];

/** The error's own code and those of what caused it. */
function codesOf(error: unknown): readonly string[] {
  const message = error instanceof Error ? error.message : '';
  const named = Object.keys(WORDS).filter((code) => new RegExp(`\\b${code}\\b`).test(message));
  const meant = BY_MESSAGE.filter(([pattern]) => pattern.test(message)).map(([, code]) => code);
  const codes: string[] = [...named, ...meant];
  let one: unknown = error;
  for (let depth = 0; depth < 4 && typeof one === 'object' && one !== null; depth++) {
    if ('code' in one && typeof one.code === 'string') codes.push(one.code);
    if ('errors' in one && Array.isArray(one.errors)) one = one.errors[0];
    else one = 'cause' in one ? one.cause : undefined;
  }
  return codes;
}
