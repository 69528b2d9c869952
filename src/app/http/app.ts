import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import type { JournalEvent } from '../../core/journal-event.ts';
import type { HttpVisit } from '../../os/http-door.ts';
import type { EndedCycle } from '../part.ts';
import { Access, type KnownToken } from './access.ts';
import { answerWith, requestOf } from './adapter.ts';
import { allRoutes } from './all-routes.ts';
import { endDisks, memoryOnItsWay, settleDisks } from './disks.ts';
import { LiveEvents } from './events.ts';
import { secretMask } from './masked.ts';
import { HttpProblem } from './problem.ts';
import { ProxmoxLogins } from './proxmox-logins.ts';
import { createRouter, problemAnswer, type Visit } from './router.ts';
import type { HttpService } from './service.ts';

/** The third file of the program: all that answers over HTTP. Loaded with the first request. */

/** What of the configuration holds for requests. */
export interface HttpRules {
  readonly tokens: readonly KnownToken[];
  /** Names under which it is reached, in lower case, besides those that always count. */
  readonly hosts: readonly string[];
  readonly behindProxy: boolean;
  readonly isTls: boolean;
  /** Whether users of Proxmox VE may log in. */
  readonly proxmoxLogin: boolean;
}

export interface HttpApp {
  serve(incoming: IncomingMessage, outgoing: ServerResponse, visit: HttpVisit): Promise<void>;
  use(rules: HttpRules): void;
  /** A text that logs in as admin, once and soon. */
  newCode(): string;
  cycleEnded(cycle: EndedCycle): void;
  recorded(event: JournalEvent, node: string): void;
  /** Memory of the host for a guest that is about to run, since somebody has asked for it. */
  readonly comingMib: number;
  /** Takes in what a former life has begun of clones; false: not now, or not all of it. */
  settle(): Promise<boolean>;
  /** Ends what is told as it happens; the listener is about to be closed. */
  stop(): void;
  /** Begins nothing more of disks and clones: the program is about to end. */
  end(): Promise<void>;
}

export function createHttpApp(service: HttpService, first: HttpRules): HttpApp {
  const { clock, paths } = service.context;
  const access = new Access(() => clock.monotonicMs());
  const events = new LiveEvents((text) => secretMask(service.nodes()[0].config)(text));
  const users = new ProxmoxLogins(service.proxmoxUser, access, service.complain);
  const answer = createRouter(allRoutes(access, users, events), access, users, service);
  let rules = first;
  const use = (next: HttpRules): void => {
    rules = next;
    access.use(next.tokens, next.proxmoxLogin);
    users.isOn = next.proxmoxLogin;
  };
  use(first);
  const hosts = (): readonly string[] => ['localhost', paths.nodeName(), ...rules.hosts];
  return {
    async serve(incoming, outgoing, { stay }) {
      const visit: Visit = { ...whence(incoming, rules), hosts: hosts(), stay };
      const gone = new AbortController();
      outgoing.on('close', () => gone.abort());
      if (outgoing.destroyed) gone.abort();
      try {
        const response = await answered(incoming, visit, gone.signal, answer);
        await answerWith(response, outgoing, incoming.method === 'HEAD');
      } catch {
        // Whoever asked is gone.
        outgoing.destroy();
      }
    },
    use,
    newCode: () => access.newCode(),
    cycleEnded: (cycle) => events.cycle(cycle, clock.wallMs()),
    recorded: (event, node) => events.journal(event, node, clock.wallMs()),
    get comingMib() {
      return memoryOnItsWay(service);
    },
    settle: () => settleDisks(service),
    stop: () => events.stop(),
    end: () => endDisks(service),
  };
}

async function answered(
  incoming: IncomingMessage,
  visit: Visit,
  gone: AbortSignal,
  answer: (request: Request, visit: Visit) => Promise<Response>,
): Promise<Response> {
  try {
    refuseForeignHost(incoming.headers.host, visit.hosts);
    const request = await requestOf(incoming, visit.isSecure ? 'https' : 'http', gone);
    return await answer(request, visit);
  } catch (error) {
    if (error instanceof HttpProblem) return problemAnswer(error);
    throw error;
  }
}

/**
 * A page of a stranger can make its own name stand for our address; then the browser takes us for
 * that stranger. An address itself cannot be made to stand for another one.
 */
function refuseForeignHost(host: string | undefined, hosts: readonly string[]): void {
  const [, six, other] =
    /^(?:\[([0-9A-Fa-f:.]+)\]|([^:\s]+))(?::[0-9]{1,5})?$/.exec(host ?? '') ?? [];
  const name = (six ?? other ?? '').toLowerCase();
  if (isIP(name) !== 0 || hosts.includes(name)) return;
  const remedy = 'if it is a name of this host, add it to http_hosts';
  throw new HttpProblem('host', `This host is not called '${name.slice(0, 80)}'; ${remedy}`);
}

/**
 * Behind a proxy the last entry counts: those before it, whoever asks may have made up. The proxy
 * does TLS, unless it says that it does not.
 */
function whence(
  { socket, headers }: IncomingMessage,
  { behindProxy, isTls }: HttpRules,
): Pick<Visit, 'address' | 'isSecure'> {
  const own = socket.remoteAddress ?? '';
  if (!behindProxy) return { address: own, isSecure: isTls };
  const last = (name: string): string | undefined =>
    [headers[name]].flat().join(',').split(',').at(-1)?.trim();
  const forwarded = last('x-forwarded-for') ?? '';
  const isSecure = isTls || last('x-forwarded-proto')?.toLowerCase() !== 'http';
  return { address: isIP(forwarded) === 0 ? own : forwarded, isSecure };
}
