import { readConfiguration, renderProblems } from '../app/configuration.ts';
import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { channelsOf, limitsOf } from '../app/messengers.ts';
import { secretsOf } from '../config/secrets-of.ts';
import { plainText } from '../core/plain-text.ts';
import { masking } from '../core/secrets.ts';
import type { Delivery } from '../notify/channel.ts';
import { testLetter } from '../notify/messenger.ts';
import { beat } from '../notify/uptime-kuma.ts';
import type { Arguments } from './arguments.ts';
import type { TestedChannel } from './channels.ts';

type Try = readonly [name: string, send: (stop: AbortSignal) => Promise<Delivery>];

/** `notify-test [CHANNEL]`: one message, past all queues and rules, and what the server said. */
export async function notifyTest(given: Arguments, context: ProcessContext): Promise<ExitCode> {
  const { stdout, stderr } = context;
  const loaded = readConfiguration(given, context);
  if (!loaded.ok) {
    stderr.write(renderProblems(loaded));
    return EXIT.configuration;
  }
  const { config } = loaded;
  const letter = testLetter(context.paths.nodeName(), context.clock.wallMs());
  const channels = await channelsOf(config.notify, context);
  const tries: Try[] = channels.map((channel) => [
    channel.name,
    (stop) => channel.send(letter, stop),
  ]);
  const { uptimeKuma } = config.notify;
  if (uptimeKuma !== undefined) {
    const heartbeat = { up: true, message: 'Test of lxc-autoscale', pingMs: 0 };
    const limits = await limitsOf(config.notify, context);
    tries.push(['uptime_kuma', (stop) => beat(uptimeKuma.url, heartbeat, limits, stop)]);
  }
  const chosen = tries.filter(([name]) => given.channel === undefined || name === given.channel);
  if (chosen.length === 0) {
    stderr.write(`${nothingToTest(given.channel)}\n`);
    return EXIT.failure;
  }
  const mask = masking(secretsOf(config));
  let allSent = true;
  for (const [name, send] of chosen) {
    const delivery = await send(new AbortController().signal);
    const said = plainText(mask(delivery.said));
    stdout.write(`${name}: ${delivery.ok ? 'sent' : 'FAILED'}: ${said}\n`);
    const problem = delivery.ok ? delivery.problem : undefined;
    if (problem !== undefined) stdout.write(`${name}: PROBLEM: ${plainText(mask(problem))}\n`);
    allSent &&= delivery.ok && problem === undefined;
  }
  return allSent ? EXIT.fine : EXIT.failure;
}

const KEYS: Readonly<Record<TestedChannel, string>> = {
  gotify: 'gotify_url and gotify_token',
  email: 'smtp_server, smtp_from and smtp_to',
  ntfy: 'ntfy_url',
  webhook: 'webhook_url',
  proxmox: 'notify_proxmox: True',
  uptime_kuma: 'uptime_kuma_url',
};

function nothingToTest(channel: Arguments['channel']): string {
  if (channel !== undefined) return `${channel} is not set up: set ${KEYS[channel]}.`;
  return `No channel is set up. Each of these begins with: ${Object.values(KEYS).join('; ')}.`;
}
