import type { Config } from '../config/model.ts';
import { secretsOf } from '../config/notify.ts';
import type { NoticeEvent } from '../core/notify/event.ts';
import { begun, conditionsIn, eventOf, type Said } from '../core/notify/gather.ts';
import { masking } from '../core/secrets.ts';
import { milliseconds } from '../core/units.ts';
import type { CycleResult, CycleView } from '../cycle.ts';
import type { MessengerCounts } from '../report/notify/messenger.ts';
import { inRoom } from '../report/room-log.ts';
import type { Messengers } from './messengers.ts';
import type { OpenWorld, Surroundings } from './world.ts';

/**
 * What the daemon has to say to an admin, told where it happens and sent by others later. Where no
 * channel is set up nothing of all that is loaded, and all of this does nothing.
 */
export interface Notices {
  tell(event: NoticeEvent): void;
  cycleBegins(): void;
  /** @param view what a whole cycle knew; undefined for one that cannot wait for others */
  cycleEnds(result: CycleResult, view: CycleView | undefined): void;
  /** Takes a new configuration into force. */
  apply(config: Config): Promise<void>;
  /** How the channels fare, by their names. */
  counts(): ReadonlyMap<string, MessengerCounts>;
  close(limitMs?: number): Promise<void>;
}

const isWanted = ({ notify }: Config): boolean =>
  notify.proxmox ||
  [notify.gotify, notify.email, notify.ntfy, notify.webhook, notify.uptimeKuma].some(
    (channel) => channel !== undefined,
  );

const NOTHING_SENT: ReadonlyMap<string, MessengerCounts> = new Map();

export async function openNotices(
  config: Config,
  open: OpenWorld,
  around: Surroundings,
): Promise<Notices> {
  const { clock } = around;
  const log = inRoom(open.world.log, 'notify');
  const said: Said = new Map();
  let parts: Messengers | undefined;
  let beganMs = clock.monotonicMs();
  let isUnwritten = false;
  let mask = masking([]);
  const tell = (event: NoticeEvent): void =>
    parts?.messenger.tell({ ...event, text: mask(event.text) });

  function hear(...[event, isWritten]: Parameters<NonNullable<Parameters<typeof open.listen>[0]>>) {
    const found = eventOf(event);
    if (found !== undefined) tell(found);
    if (!isWritten && !isUnwritten) {
      tell({ kind: 'failed', severity: 'error', text: 'The JSON log cannot be written.' });
    }
    isUnwritten = !isWritten;
  }

  const tellStanding = standing(tell);
  const notices: Notices = {
    tell,
    cycleBegins() {
      beganMs = clock.monotonicMs();
      parts?.messenger.cycleBegins();
    },
    cycleEnds(result, view) {
      if (parts === undefined) return;
      tellStanding(result);
      if (view !== undefined) {
        const conditions = conditionsIn(view.planned.held, view.available);
        for (const event of begun(said, conditions, clock.wallMs())) tell(event);
        const pingMs = clock.monotonicMs() - beganMs;
        parts.heartbeats?.beat({ ...healthOf(result), pingMs });
      } else if (!result.ok) parts.heartbeats?.beat({ ...healthOf(result), pingMs: 0 });
      parts.messenger.cycleEnds();
    },
    async apply(next) {
      if (parts === undefined && !isWanted(next)) return;
      const { messengersOf } = await import('./messengers.ts');
      parts = await messengersOf(next, around, log, parts);
      mask = masking(secretsOf(next));
      open.listen(hear);
    },
    counts: () => parts?.messenger.counts() ?? NOTHING_SENT,
    async close(limitMs = 3000) {
      parts?.heartbeats?.stop();
      await parts?.messenger.close(milliseconds(limitMs));
    },
  };
  await notices.apply(config);
  return notices;
}

/** Tells once that the loop stands still, and once that a pause is over. */
function standing(tell: (event: NoticeEvent) => void): (result: CycleResult) => void {
  let isBlind = false;
  let isPaused = false;
  return (result) => {
    if (!result.ok && !isBlind) {
      const text = `The containers cannot be seen, so nothing is scaled: ${result.detail}.`;
      tell({ kind: 'failed', severity: 'error', text });
    }
    isBlind = !result.ok;
    if (!result.ok || (result.pause !== undefined) === isPaused) return;
    isPaused = result.pause !== undefined;
    if (result.pause === undefined) {
      const text = 'Configurations can be written again: scaling goes on.';
      tell({ kind: 'failed', severity: 'info', text });
    } else {
      const text = `Nothing is changed on this node: ${result.pause.why}.`;
      tell({ kind: 'failed', severity: 'error', text });
    }
  };
}

function healthOf(result: CycleResult): { readonly up: boolean; readonly message: string } {
  if (!result.ok) return { up: false, message: 'The containers cannot be seen' };
  if (result.pause !== undefined) return { up: false, message: 'Nothing can be changed' };
  return { up: true, message: `${result.done} changes done, ${result.failed} failed` };
}
