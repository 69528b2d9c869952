import { expect, it } from 'vitest';
import { openFallback } from '../../src/app/fallback-node.ts';
import type { FarLease, FarNode } from '../../src/app/world.ts';
import type { ConnectionName } from '../../src/core/connection.ts';
import { missing } from '../../src/core/reading.ts';
import { mib } from '../../src/core/units.ts';
import type { NodeEyes, SetRequest } from '../../src/node/port.ts';
import { host, vmid } from '../core/builders.ts';
import { FakeNode } from '../loop/fake-node.ts';
import { manualClock } from '../node/local/world.ts';

/** One of two connections: a node that tests take away and give back. */
class Way {
  readonly node = new FakeNode();
  readonly by: ConnectionName;
  readonly lease: FarLease | undefined;
  problem: string | undefined;
  looks = 0;
  /** Until it is called no look is over. */
  release: (() => void) | undefined;
  isSlow = false;
  onHost = (): void => {};

  constructor(by: ConnectionName, lease?: FarLease) {
    this.by = by;
    this.lease = lease;
    this.node.add(101);
    this.node.seen = host();
  }

  get far(): FarNode {
    const observe = async (): Promise<void> => {
      this.looks += 1;
      if (!this.isSlow) return;
      await new Promise<void>((resolve) => {
        this.release = resolve;
      });
    };
    return {
      name: 'lab',
      eyes: {
        ...this.node.world,
        observe,
        host: {
          observe: () => {
            this.onHost();
            return this.node.world.host.observe();
          },
        },
      },
      hands: this.node.world.hands,
      lease: this.lease,
      problem: () => this.problem,
      connection: () => ({ by: this.by }),
      lookAfter: () => {},
      close: () => {},
    };
  }
}

const NEVER = new AbortController().signal;
const ID = vmid(101);

function both(order: readonly [ConnectionName, ConnectionName] = ['api', 'ssh']) {
  const clock = manualClock();
  const [first, second] = [new Way(order[0]), new Way(order[1])];
  const far = openFallback({ first: first.far, second: second.far }, clock);
  return { clock, first, second, far };
}

const request = (): SetRequest => ({ vmid: ID, memoryMib: mib(2048), digest: '0'.repeat(40) });
const settled = () => new Promise((resolve) => setImmediate(resolve));

it('is seen by the first as long as that answers, and the second is left alone', async () => {
  const { far, first, second } = both();
  await far.eyes.observe();
  await far.eyes.observe();
  expect([first.looks, second.looks]).toEqual([2, 0]);
  expect(far.connection()).toEqual({ by: 'api' });
  await far.hands.apply(request(), NEVER);
  expect([first.node.sets.length, second.node.sets.length]).toEqual([1, 0]);
});

it('is seen by the second from the look on in which the first does not answer', async () => {
  const { far, first, second } = both();
  first.problem = 'no answer within 10 s';
  first.node.listMissing = missing('unreadable', 'no answer within 10 s');
  await far.eyes.observe();
  expect(far.problem()).toBeUndefined();
  expect(far.connection()).toEqual({ by: 'ssh', why: 'no answer within 10 s' });
  expect(far.eyes.guests.list().ok).toBe(true);
  await far.hands.apply(request(), NEVER);
  expect([first.node.sets.length, second.node.sets.length]).toEqual([0, 1]);
});

it('is seen by the second also if the first answers, and not for the node', async () => {
  const { far, first } = both();
  first.node.seen = { ...host(), cpus: missing('unreadable', 'the node pve1 is offline') };
  await far.eyes.observe();
  expect(far.connection()).toEqual({ by: 'ssh', why: 'the node pve1 is offline' });
});

it('tries the first beside the looks, later each time, and goes back to it', async () => {
  const { far, first, second, clock } = both();
  first.problem = 'refused';
  await far.eyes.observe();
  const tries: number[] = [];
  for (let second = 0; second < 120; second += 5) {
    const before = first.looks;
    clock.advance(5000);
    await far.eyes.observe();
    await settled();
    if (first.looks > before) tries.push(second + 5);
  }
  expect(tries).toEqual([15, 45, 105]);
  // A first one that hangs keeps no look waiting.
  first.isSlow = true;
  clock.advance(300_000);
  const looks = second.looks;
  await far.eyes.observe();
  await far.eyes.observe();
  expect(second.looks).toBe(looks + 2);
  expect(far.connection().by).toBe('ssh');
  first.isSlow = false;
  first.problem = undefined;
  first.release?.();
  await settled();
  expect(far.connection().by).toBe('ssh');
  await far.eyes.observe();
  expect(far.connection()).toEqual({ by: 'api' });
  expect(second.looks).toBe(looks + 2);
});

it('never goes over to the other one within a change', async () => {
  const { far, first, second, clock } = both();
  first.problem = 'refused';
  await far.eyes.observe();
  first.problem = undefined;
  clock.advance(60_000);
  await far.eyes.observe();
  await settled();
  // The first has answered meanwhile, and what is under way goes on by the second.
  await far.eyes.observe(undefined, 'change');
  await far.eyes.inspect(ID);
  await far.hands.apply(request(), NEVER);
  expect([first.node.sets.length, second.node.sets.length]).toEqual([0, 1]);
  expect(far.connection().by).toBe('ssh');
  await far.eyes.observe();
  expect(far.connection().by).toBe('api');
  // The one in use ends in the middle: then nothing is known, and nothing comes from the other.
  first.problem = 'cut off';
  first.node.listMissing = missing('unreadable', 'cut off');
  await far.eyes.observe(undefined, 'change');
  expect(far.eyes.guests.list()).toMatchObject({ ok: false, detail: 'cut off' });
  await far.eyes.observe();
  expect(far.eyes.guests.list().ok).toBe(true);
});

it('is not seen if neither answers, and says why of both', async () => {
  const { far, first, second } = both();
  first.problem = 'its certificate is another one';
  second.problem = 'lab: it refuses the login';
  second.node.listMissing = missing('unreadable', 'it refuses the login');
  first.node.listMissing = missing('unreadable', 'its certificate is another one');
  await far.eyes.observe();
  expect(far.eyes.guests.list().ok).toBe(false);
  expect(far.problem()).toBe(
    'by the API: its certificate is another one; by SSH: lab: it refuses the login',
  );
  second.problem = undefined;
  await far.eyes.observe();
  expect(far.problem()).toBeUndefined();
});

it('tries the first soon once the second answers, however long both were away', async () => {
  const { far, first, second, clock } = both();
  first.problem = 'refused';
  second.problem = 'cut off';
  for (let look = 0; look < 20; look += 1) await far.eyes.observe();
  second.problem = undefined;
  await far.eyes.observe();
  // Also if the second ends for a while later on.
  second.problem = 'cut off';
  for (let look = 0; look < 20; look += 1) {
    clock.advance(15_000);
    await far.eyes.observe();
    await settled();
  }
  second.problem = undefined;
  await far.eyes.observe();
  await settled();
  clock.advance(30_000);
  const { looks } = first;
  first.problem = undefined;
  await far.eyes.observe();
  await settled();
  expect(first.looks).toBe(looks + 1);
});

it('what its connections said is known without a further look at the host', async () => {
  const { far, first } = both();
  let reads = 0;
  first.onHost = () => {
    reads += 1;
  };
  await far.eyes.observe();
  const before = reads;
  expect([far.problem(), far.problem()]).toEqual([undefined, undefined]);
  expect(reads).toBe(before);
});

it('is seen by the first at the next look but one if the second ends before its time', async () => {
  const { far, first, second } = both();
  first.problem = 'refused';
  await far.eyes.observe();
  first.problem = undefined;
  second.problem = 'cut off';
  await far.eyes.observe();
  expect(far.problem()).toMatch(/by SSH: cut off/);
  await settled();
  await far.eyes.observe();
  expect(far.problem()).toBeUndefined();
  expect(far.connection()).toEqual({ by: 'api' });
});

it('stays as it is if the program stops meanwhile', async () => {
  const { far, first, second } = both();
  const stop = new AbortController();
  stop.abort();
  first.problem = 'not looked at';
  await far.eyes.observe(stop.signal);
  expect([second.looks, far.connection().by]).toEqual([0, 'api']);
});

it.each([
  [['api', 'ssh'], true, false],
  [['api', 'ssh'], false, true],
  [['ssh', 'api'], true, true],
  [['ssh', 'api'], false, false],
] as const)(
  'with %j (the first answers: %s) a look waits for the lease by SSH: %s',
  async (order, isUp, waits) => {
    const files = {} as FarLease['files'];
    const ways = order.map((by) => new Way(by, by === 'ssh' ? { files, how: 'ssh' } : undefined));
    const [first, second] = ways;
    if (first === undefined || second === undefined) throw new Error('two are needed');
    if (!isUp) first.problem = 'away';
    const far = openFallback({ first: first.far, second: second.far }, manualClock());
    await far.eyes.observe();
    expect(far.lease?.isWaitedFor?.()).toBe(waits);
  },
);

it('has the eyes that a node has, and no more', () => {
  const eyes: NodeEyes = both().far.eyes;
  expect(eyes.limitEvents).toBeUndefined();
});
