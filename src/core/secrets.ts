/** Shorter ones would take ordinary words out of every text. */
const SHORTEST_SECRET = 4;

/** A function that takes secrets out of a text, wherever they stand in it. */
export function masking(secrets: readonly string[]): (text: string) => string {
  const long = secrets.filter((secret) => secret.length >= SHORTEST_SECRET);
  return (text) => {
    let masked = text;
    for (const secret of long) masked = masked.replaceAll(secret, '***');
    return masked;
  };
}
