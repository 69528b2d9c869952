/** What admins write from memory, or from the file of another program, for keys of ours. */

/** Words of such keys, each with ours; '' where it says nothing. */
const OURS: Readonly<Record<string, string>> = {
  ...allTo('memory', ['mem', 'ram']),
  ...allTo('cores', ['core', 'cpu', 'cpus', 'vcpu', 'vcpus']),
  ...allTo('max', ['maximum', 'limit']),
  ...allTo('min', ['minimum']),
  ...allTo('ignore', ['ignored', 'exclude', 'excluded', 'excludes', 'skip', 'blacklist']),
  ...allTo('', ['lxc', 'lxcs', 'ct', 'cts', 'container', 'containers', 'guest', 'guests']),
  ...allTo('', ['vm', 'vms', 'id', 'ids', 'mb', 'mib', 'count', 'list']),
};

function allTo(ours: string, words: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(words.map((word) => [word, ours]));
}

const BY_WORDS = ['min_cores', 'max_cores', 'min_memory', 'max_memory', 'ignore_lxc'] as const;

/** The words of a key in any order, in ours. */
const wordsOf = (key: string): string =>
  key
    .split('_')
    .map((word) => (Object.hasOwn(OURS, word) ? OURS[word] : word))
    .filter((word) => word !== '')
    .sort()
    .join();

/** The first that matches counts, where the section has the key in the middle. */
const ADVICE: readonly (readonly [RegExp, string, string])[] = [
  [/^(?:v?cpus?|cores?)$/, 'min_cores', 'min_cores and max_cores'],
  [/^(?:memory|mem|ram)(?:_m?i?b)?$/, 'min_memory', 'min_memory and max_memory'],
  [/^tags?$/, 'guests', "guests: ['tag:NAME']"],
  [/^(?:ids?|vmids?|names?|lxcs?|cts?)$/, 'lxc_containers', 'lxc_containers'],
  [/^vms?$/, 'virtual_machines', 'virtual_machines'],
  [
    /^(?:enabled?|disabled?|active|activated?|autoscale)$/,
    'scaling_mode',
    '`scaling_mode: observe` if nothing is to be changed, or ignore_lxc in DEFAULT',
  ],
  [/^(?:api_)?token(?:_(?:name|value|key))?$/, 'token_id', 'token_id and token_secret'],
  [/^(?:ip|ip_address|address|hostname|url)$/, 'host', 'host'],
  [/^(?:username|login)$/, 'user', 'user'],
  [/^discord/, 'webhook_url', 'webhook_url, and `webhook_format: discord`'],
  [/^slack/, 'webhook_url', 'webhook_url, and `webhook_format: slack`'],
  [/^telegram/, 'webhook_url', 'webhook_url, and `webhook_format: telegram`'],
  [/^matrix/, 'webhook_url', 'webhook_url, and `webhook_format: matrix`'],
  [/^webhook(?:s|_address)?$/, 'webhook_url', 'webhook_url'],
  [/^ntfy(?:_topic|_server|_host)?$/, 'ntfy_url', 'ntfy_url'],
  [/^gotify(?:_server|_host|_address)?$/, 'gotify_url', 'gotify_url and gotify_token'],
  [/^(?:e_?mails?|mail(?:_to|_from)?|smtp)$/, 'smtp_server', 'smtp_server, smtp_from and smtp_to'],
  [/^log(?:s|ging)?$/, 'log_level', 'log_level or log_file'],
];

const UNSCALED = /^(?:(?:min|max)_)?(swap|disk|storage|rootfs)(?:_(?:mb|gb|size|min|max|limit))?$/;

/** What to say of a key that no known one is near to; undefined: nothing. */
export function meantBy(key: string, known: readonly string[]): string | undefined {
  const plain = key.toLowerCase().replaceAll('-', '_');
  const words = wordsOf(plain);
  const same = BY_WORDS.find((one) => known.includes(one) && wordsOf(one) === words);
  if (same !== undefined) return `unknown key; did you mean ${same}?`;
  const advice = ADVICE.find(([form, owner]) => known.includes(owner) && form.test(plain))?.[2];
  if (advice !== undefined) return `unknown key; write ${advice}`;
  const unscaled = UNSCALED.exec(plain)?.[1];
  return unscaled && `unknown key, since ${unscaled} is not scaled; remove the line`;
}
