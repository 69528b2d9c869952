import { visitorNetwork } from '../../core/visitor-network.ts';
import { LOOKS } from '../../node/api/privileges.ts';
import type { AskProxmoxUser, ProxmoxUser } from '../proxmox-users.ts';
import { type Access, type Caller, LONGEST_UNTOLD_MS, type Session } from './access.ts';
import { HttpProblem } from './problem.ts';

/** Logins with a user of Proxmox VE and a password, and what becomes of their rights. */

/**
 * A refusal keeps a worker of the node for 3 s; people beside us want to be answered too. Strangers
 * leave as many to whoever has logged in before.
 */
const MOST_AT_ONCE = 4;
/** What a user may do is looked up again after so long. */
const RIGHTS_MS = 5 * 60_000;
const USER = /^[^\s:/!]{1,64}$/;

export class ProxmoxLogins {
  readonly #ask: AskProxmoxUser;
  readonly #access: Access;
  readonly #complain: (message: string) => void;
  readonly #checking = new Set<string>();
  readonly #looking = new Map<string, Promise<void>>();
  /** Why the node could not be asked, as it was logged last. */
  #complaint: string | undefined;
  /** Whether the configuration wants them. */
  isOn = false;

  constructor(ask: AskProxmoxUser, access: Access, complain: (message: string) => void) {
    this.#ask = ask;
    this.#access = access;
    this.#complain = complain;
  }

  /**
   * Until it is known to be right a password counts as a wrong one, so that many at once are not
   * more than ten. Throws for one that is wrong, and for whoever may do nothing here.
   *
   * @param name `user@realm`; of the realm `pam` if it names none
   */
  async logIn(name: string, password: string, address: string): Promise<Caller> {
    this.#refuseUnwanted();
    if (!USER.test(name)) throw new HttpProblem('wrong-request', NO_NAME);
    const user = name.includes('@') ? name : `${name}@pam`;
    this.#access.refuseTooMany(address);
    const network = visitorNetwork(address);
    const most = this.#access.isKnown(address) ? 2 * MOST_AT_ONCE : MOST_AT_ONCE;
    if (this.#checking.has(network) || this.#checking.size >= most) {
      throw new HttpProblem('busy', 'Another login is being checked; try again in a moment');
    }
    this.#checking.add(network);
    this.#access.wrong(address);
    try {
      const found = await this.#ask(user, password);
      // Meanwhile the configuration may be another one.
      this.#refuseUnwanted();
      if (found.kind === 'no-answer') throw this.#unanswered(found.why);
      if (found.kind === 'unknown') {
        throw new HttpProblem('wrong-login', 'The node does not know this user and password');
      }
      this.#access.notWrong(address);
      this.#complaint = undefined;
      const caller = callerOf(user, found);
      this.#access.right(address, user);
      return caller;
    } finally {
      this.#checking.delete(network);
    }
  }

  /** As `Access` has it, with the rights that its user has by now. */
  async sessionOf(cookie: string): Promise<Session | undefined> {
    const session = this.#access.sessionOf(cookie);
    if (session?.ticket === undefined) return session;
    if (this.#access.nowMs() - session.askedMs < RIGHTS_MS) return session;
    const looking =
      this.#looking.get(cookie) ??
      this.#lookAgain(cookie, session, session.ticket).finally(() => this.#looking.delete(cookie));
    this.#looking.set(cookie, looking);
    await looking;
    return this.#access.sessionOf(cookie);
  }

  async #lookAgain(cookie: string, session: Session, ticket: string): Promise<void> {
    const found = await this.#ask(session.name, ticket);
    const askedMs = this.#access.nowMs();
    if (found.kind === 'no-answer' && askedMs - session.toldMs < LONGEST_UNTOLD_MS) {
      this.#access.change(cookie, { askedMs });
    } else if (found.kind === 'known' && found.role !== undefined) {
      const { role, ticket: next } = found;
      this.#access.change(cookie, { role, ticket: next, askedMs, toldMs: askedMs });
    } else this.#access.end(cookie);
  }

  #refuseUnwanted(): void {
    if (!this.isOn) throw new HttpProblem('not-here', 'http_proxmox_login is not set');
  }

  /** The log names no user: a password may have been typed there. */
  #unanswered(why: string): HttpProblem {
    if (why !== this.#complaint) this.#complain(`A login could not be checked: ${why}`);
    this.#complaint = why;
    return new HttpProblem('failed', `The node cannot be asked: ${why}. ${OTHERWISE}`);
  }
}

function callerOf(
  user: string,
  found: Extract<ProxmoxUser, { kind: 'known' | 'second-factor' }>,
): Caller {
  if (found.kind === 'second-factor') {
    const why = `${user} has a second factor, which is not asked for here`;
    throw new HttpProblem('second-factor', `${why}. ${OTHERWISE}`);
  }
  const { role, ticket } = found;
  if (role !== undefined) return { name: user, role, ticket };
  throw new HttpProblem('role', `${user} may not look at all guests. ${WHAT_READ_NEEDS}`);
}

const NO_NAME = 'This is no user of Proxmox VE; write NAME or NAME@REALM';

const OTHERWISE = 'Log in with a token, or with a link: on the node, lxc-autoscale dashboard';
const WHAT_READ_NEEDS =
  `That needs ${LOOKS.guests} on /vms and ${LOOKS.nodes} on /nodes, with propagation; ` +
  'docs/http-api.md has what changing needs';
