import { type Config, waysOf } from './model.ts';

/** What must not be seen in any output: secrets, and addresses, which may hold some. */
export function secretsOf({
  notify,
  nodes,
  metrics,
}: Pick<Config, 'notify' | 'nodes' | 'metrics'>): readonly string[] {
  const { gotify, email, ntfy, webhook, uptimeKuma } = notify;
  const addresses = [gotify?.url, ntfy?.url, webhook?.url, uptimeKuma?.url];
  const tokens = [gotify?.token, email?.login?.password, ntfy?.token, webhook?.token];
  const logins = nodes.flatMap(waysOf).map((node) => {
    if (node.connection === 'ssh') return undefined;
    const { credentials } = node;
    return credentials.kind === 'token' ? credentials.secret : credentials.password;
  });
  const all = [
    metrics.token,
    ...tokens,
    ...logins,
    ...addresses,
    ...addresses.flatMap(secretParts),
  ];
  const secrets = all.filter((secret) => secret !== undefined && secret !== '');
  // The longer first: what is left of an address that lost its middle would still tell of it.
  return [...new Set(secrets as string[])].sort((a, b) => b.length - a.length);
}

/** What of an address is as good as a password: a login, long names in its path or its query. */
function secretParts(address: string | undefined): readonly string[] {
  if (address === undefined) return [];
  try {
    const { pathname, password, searchParams } = new URL(address);
    const parts = [...pathname.split('/'), password, ...searchParams.values()];
    return parts.filter((part) => part.length >= 8);
  } catch {
    return [];
  }
}
