import { missing, present, type Reading } from '../../core/reading.ts';
import type { Clock, GuestFile } from '../port.ts';
import type { ApiClient } from './client.ts';
import type { ApiAnswer, ApiFailure } from './failure.ts';
import { guestFile } from './guest-config.ts';
import { grantCommand } from './privileges.ts';
import { type ClusterSight, parseQuorum, resourcesIn, type SeenGuest } from './resources.ts';
import { rowOf } from './values.ts';

/** What one client sees of a cluster: one look for all of its nodes. */

/** A look that is younger than this is shared. */
const FRESH_MS = 500;
/** Where the API has a guest. */
export const guestPath = ({ node, kind, vmid }: Pick<SeenGuest, 'node' | 'kind' | 'vmid'>) =>
  `/nodes/${encodeURIComponent(node)}/${kind}/${vmid}`;

const NEVER = new AbortController().signal;

const missingAs = ({ why, message }: ApiFailure): Reading<never> =>
  missing(why === 'gone' ? 'absent' : 'unreadable', message);

interface UnderWay {
  readonly over: Promise<void>;
  readonly ending: AbortController;
}

export class ClusterLook {
  readonly client: ApiClient;
  readonly clock: Clock;
  #sight: Reading<ClusterSight> = missing('unreadable', 'nobody has looked yet');
  #atMs: number | undefined;
  #underWay: UnderWay | undefined;
  #quorum: Reading<boolean> = missing('unreadable', 'nobody has asked yet');
  /** Which nodes were online when it was asked: a quorum is lost with one of them. */
  #quorumOf = '';

  constructor(client: ApiClient, clock: Clock) {
    this.client = client;
    this.clock = clock;
  }

  /** As of the last look. */
  get sight(): Reading<ClusterSight> {
    return this.#sight;
  }

  /** When the last look was over, on the monotonic clock. */
  get atMs(): number {
    return this.#atMs ?? 0;
  }

  get quorum(): Reading<boolean> {
    return this.#quorum;
  }

  /**
   * One request, whoever asks for it at the same time. Never fails.
   * @param stop ends it for all of them: it is the program that stops. What was seen before stays
   */
  async look(stop: AbortSignal = NEVER, isFreshEnough = FRESH_MS): Promise<void> {
    const age = this.clock.monotonicMs() - (this.#atMs ?? Number.NEGATIVE_INFINITY);
    if (stop.aborted || (this.#underWay === undefined && age < isFreshEnough)) return;
    this.#underWay ??= this.#begin();
    const { over, ending } = this.#underWay;
    const end = (): void => ending.abort();
    stop.addEventListener('abort', end, { once: true });
    await over;
    stop.removeEventListener('abort', end);
  }

  #begin(): UnderWay {
    const ending = new AbortController();
    const over = this.#ask(ending.signal).finally(() => {
      this.#underWay = undefined;
    });
    return { over, ending };
  }

  /** A change was refused for want of a quorum: it is asked for with each look until it is back. */
  noticeNoQuorum(): void {
    this.#quorum = present(false);
  }

  /** The configuration of a guest, as it is now. */
  async config(
    { node, kind, vmid }: Pick<SeenGuest, 'node' | 'kind' | 'vmid'>,
    stop = NEVER,
  ): Promise<Reading<GuestFile>> {
    const home = guestPath({ node, kind, vmid });
    const config = await this.client.get(`${home}/config?current=1`, stop);
    if (!config.ok) return missingAs(config);
    const pending = await this.client.get(`${home}/pending`, stop);
    if (!pending.ok) return missingAs(pending);
    return guestFile({ kind, vmid }, config.data, pending.data);
  }

  async #ask(stop: AbortSignal): Promise<void> {
    const before = this.#sight.ok ? this.#sight.value : undefined;
    const parse = (text: string) => resourcesIn(text, before);
    const answer = await this.client.get('/cluster/resources', stop, parse);
    const seen = answer.ok ? answer.data : missingAs(answer);
    const sight = seen.ok && seen.value.guests.size === 0 ? await this.#doubted(seen, stop) : seen;
    const online = sight.ok ? onlineIn(sight.value) : this.#quorumOf;
    const isKnown = this.#quorum.ok && this.#quorum.value && online === this.#quorumOf;
    const status = isKnown ? undefined : await this.client.get('/cluster/status', stop);
    if (stop.aborted) return;
    this.#sight = sight;
    if (status !== undefined) {
      this.#quorum = quorumIn(status);
      this.#quorumOf = online;
    }
    this.#atMs = this.clock.monotonicMs();
  }

  /** That nothing is shown is no proof that there is nothing. */
  async #doubted(seen: Reading<ClusterSight>, stop: AbortSignal): Promise<Reading<ClusterSight>> {
    const answer = await this.client.get('/access/permissions', stop);
    if (!answer.ok) return missingAs(answer);
    const isShown = Object.values(rowOf(answer.data) ?? {}).some(
      (privileges) => rowOf(privileges)?.['VM.Audit'] !== undefined,
    );
    if (isShown) return seen;
    const { asker } = this.client;
    const remedy = `grant it with: ${grantCommand('/', asker)}`;
    return missing('unreadable', `${asker} is shown no guest: it lacks VM.Audit; ${remedy}`);
  }
}

const onlineIn = ({ nodes }: ClusterSight): string =>
  [...nodes]
    .flatMap(([name, seen]) => (seen.ok ? [name] : []))
    .sort()
    .join(' ');

const quorumIn = (answer: ApiAnswer): Reading<boolean> =>
  answer.ok ? parseQuorum(answer.data) : missingAs(answer);
