import { describe, expect, it } from 'vitest';
import { settingsOf } from '../../src/app/loop-settings.ts';
import { parseConfig } from '../../src/config/load.ts';
import { onNode } from '../../src/config/on-node.ts';
import { newLoopState } from '../../src/core/loop-state.ts';
import { runCycle } from '../../src/loop/cycle.ts';
import type { ActingWorld } from '../../src/ports.ts';
import type { RestCall, RestFault } from '../../src/sim/rest-server.ts';
import { Random } from '../faults/random.ts';
import { guestSpec, LOGIN, NEVER, type RestNode, restNode } from '../node/api/rest-node.ts';
import { TIME_LIMIT_MS, WANTED_RUNS } from './fuzz.ts';

/** Everything between the program and a node goes wrong, by a seed; what must hold is checked. */

const CYCLES = Math.max(60, WANTED_RUNS / 10);
const IDS = [101, 102, 103, 104];
const CONFIG = `DEFAULT:
  cooldown_seconds: 0
  evaluation_periods: 1
  max_cores: 6
  max_memory: 4096
  memory_overcommit_ratio: 10
`;

/** About one request in four. */
function faultOf(random: Random): RestFault | undefined {
  const draw = random.next();
  if (draw < 0.05) return { kind: 'reset', isDone: random.chance(0.5) };
  if (draw < 0.1) return { kind: 'cut' };
  if (draw < 0.13) return { kind: 'no-daemon' };
  if (draw < 0.16) return { kind: 'answers', status: 596, words: 'Connection timed out' };
  if (draw < 0.18) return { kind: 'answers', status: 200, words: 'OK', body: '{"data":[' };
  if (draw < 0.2) return { kind: 'answers', status: 200, words: 'OK', body: '{"data":[]}' };
  if (draw < 0.22) return { kind: 'answers', status: 301, words: 'Moved Permanently' };
  if (draw < 0.24) return { kind: 'answers', status: 500, words: 'got timeout' };
  return undefined;
}

/** What people and the node do meanwhile. */
function happening(random: Random, { node, server, time }: RestNode): void {
  const id = random.pick(IDS);
  const draw = random.next();
  if (draw < 0.05) node.editConfig(id, (text) => text.replace(/^swap: .*$/m, 'swap: 0'));
  else if (draw < 0.1) node.setLock(id, 'backup');
  else if (draw < 0.2) for (const one of IDS) node.setLock(one, undefined);
  else if (draw < 0.25) node.setQuorum(false);
  else if (draw < 0.35) node.setQuorum(true);
  else if (draw < 0.4) node.stopContainer(id);
  else if (draw < 0.5)
    for (const one of IDS)
      if (!node.limits(one)?.live) node.startContainer(one);
      else if (draw < 0.53) server.forgetTickets();
      else if (draw < 0.56) time.ms += 3 * 60 * 60_000;
      else if (draw < 0.6) server.closeConnections();
}

interface Kept {
  readonly backups: string[];
  readonly said: string[];
}

function worldOf(rest: RestNode, kept: Kept): ActingWorld {
  const { eyes, hands } = rest.apiNode({ credentials: LOGIN });
  const say = (message: string | (() => string)): void => {
    kept.said.push(typeof message === 'string' ? message : message());
  };
  return {
    ...eyes,
    hands,
    log: { debug: say, info: say, warn: say, error: say },
    journal: { record: (event) => kept.said.push(JSON.stringify(event)) > 0 },
    holds: { read: () => ({ holds: new Map(), warnings: [] }), write: () => ({ ok: true }) },
    backups: {
      write({ config: { vmid, digest } }) {
        kept.backups.push(`${vmid} ${digest}`);
        return { ok: true, path: `/backups/${vmid}/${digest}` };
      },
    },
  };
}

/** The guest and the digest that a change names. */
function namedBy({ path, body }: RestCall): string {
  const vmid = /\/lxc\/(\d+)\/config/.exec(path)?.[1];
  return `${vmid} ${new URLSearchParams(body).get('digest')}`;
}

describe('a node behind a bad network', () => {
  it.each([1, 2])(
    'seed %i: nothing is lowered, repeated, or changed without a backup',
    { timeout: TIME_LIMIT_MS },
    async (seed) => {
      const random = new Random(seed);
      const uses = new Random(seed, 'demand');
      const demand = () => ({ cpuCores: 4 * uses.next(), anonMib: 1500 * uses.next() });
      const rest = await restNode(IDS.map((id) => ({ ...guestSpec(id), demand })));
      const loaded = parseConfig(CONFIG, 'f.yaml', {});
      if (!loaded.ok) throw new Error('the configuration has problems');
      const settings = settingsOf(onNode(loaded.config, 'pve1'), { dryRun: false });
      const kept: Kept = { backups: [], said: [] };
      const world = worldOf(rest, kept);
      const state = newLoopState();
      const highest = new Map(IDS.map((id) => [id, 1024]));
      // By what is asked, since several requests are under way at once, in any order.
      let cycle = 0;
      const asked = new Map<string, number>();
      rest.server.fault = ({ method, path }) => {
        const words = `${seed} ${cycle} ${method} ${path}`;
        const times = asked.get(words) ?? 0;
        asked.set(words, times + 1);
        return faultOf(new Random(words, times));
      };
      for (; cycle < CYCLES; cycle++) {
        happening(random, rest);
        rest.node.advance(10_000);
        rest.time.ms += 10_000;
        await world.observe();
        const result = await runCycle(world, settings, state, NEVER);
        expect(result.ok || result.detail).not.toBe('');
        const now = new Set<string>();
        for (const call of rest.server.calls.splice(0)) {
          // A change whose ticket was refused was not carried out, and is sent with a new one.
          if (call.method === 'POST') now.clear();
          if (call.method !== 'PUT') continue;
          const named = namedBy(call);
          expect(kept.backups, 'a backup comes first').toContain(named);
          expect(now.has(named), `cycle ${cycle}: sent again: ${named}`).toBe(false);
          now.add(named);
        }
        for (const id of IDS) {
          const { memoryMib = 0, cores = 1 } = rest.node.limits(id) ?? {};
          expect(memoryMib, `memory of ${id} in cycle ${cycle}`).toBeGreaterThanOrEqual(
            highest.get(id) ?? 0,
          );
          expect(memoryMib).toBeLessThanOrEqual(4096);
          expect(cores).toBeGreaterThanOrEqual(1);
          expect(cores).toBeLessThanOrEqual(6);
          highest.set(id, memoryMib);
        }
      }
      const made = rest.node.events.filter(({ what }) => what === 'set');
      expect(made.length).toBeGreaterThan(5);
      expect(kept.said.join('\n')).not.toContain(LOGIN.password);
    },
  );
});
