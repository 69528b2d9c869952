import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { missing, present } from '../../../src/core/reading.ts';
import { machine, vmid } from '../../core/builders.ts';
import { until } from '../../patience.ts';
import { type Served, serve, TOKENS } from './served.ts';

/** What is asked for goes the way of the loop's own changes, or is refused with the reason. */

/** 101 has 2 cores and keeps one of them busy; it has 1024 MB and uses 400. */
async function ready(more = '', name = 'pve1'): Promise<Served> {
  const served = await serve(more, { name });
  served.node.add(101, { cores: 2, memoryMib: 1024 as never });
  await served.cycle();
  served.pass(10_000);
  await served.cycle();
  served.pass(10_000);
  return served;
}

const post = (served: Served, what: string, body: object, role: 'scale' | 'admin' = 'scale') =>
  served.as(role, 'POST', `/api/v1/guests/101/${what}`, body);

describe('a change that is asked for', () => {
  it('is made with a backup before it, and the JSON log says who asked', async () => {
    const served = await ready();
    const { status, json } = await post(served, 'memory', { memory: 2048 });
    expect({ status, json }).toMatchObject({
      status: 200,
      json: {
        outcome: 'confirmed',
        vmid: 101,
        changes: [{ resource: 'memory', before: 1024, after: 2048 }],
        says: expect.stringMatching(/^Container 101 .* since it was asked for by api:scale\.$/),
      },
    });
    const { node } = served;
    expect(node.done).toEqual(['backup 101', 'set 101']);
    expect(node.get(101).config.memoryMib).toBe(2048);
    expect(node.events.at(-1)).toMatchObject({
      details: { status: 'confirmed', rule: 'asked', asked_by: 'api:scale', after: 2048 },
    });
  });

  it('stays, as a value that was set by hand does', async () => {
    const served = await ready();
    served.node.get(101).load = 0.1;
    await post(served, 'cores', { cores: 6 });
    served.node.rebalance();
    for (let cycle = 0; cycle < 8; cycle += 1) {
      served.pass(300_000);
      await served.cycle();
    }
    expect(served.node.get(101).config.cores).toBe(6);
    expect(served.loop.state.guests.get(vmid(101))?.given?.cores).toBe(2);
    served.pass(3_600_000);
    await served.cycle();
    expect(served.node.get(101).config.cores).toBe(2);
  });

  it.each([
    ['scale', 409],
    ['admin', 200],
  ] as const)('moves bounds that are shares only for an admin (%s)', async (role, second) => {
    const served = await ready('  max_cores: 300 %\n');
    expect((await post(served, 'cores', { cores: 6 }, role)).status).toBe(200);
    served.node.rebalance();
    served.pass(10_000);
    expect((await post(served, 'cores', { cores: 7 }, role)).status).toBe(second);
  });

  it('as a dry run says what it would do, and leaves no trace', async () => {
    const served = await ready();
    const { node, loop } = served;
    const before = structuredClone(loop.state);
    const lines = node.lines.length;
    const { json } = await post(served, 'memory?dry_run=1', { memory: 2048 });
    expect(json).toMatchObject({ outcome: 'dry-run', changes: [{ before: 1024, after: 2048 }] });
    expect([node.sets, node.backups, node.events, node.lines.length]).toEqual([[], [], [], lines]);
    expect(loop.state).toEqual(before);
  });

  it.each<[string, object, number]>([
    ['it has that already', { cores: 2 }, 200],
    ['it needs more', { cores: 1 }, 409],
    ['its policy forbids it', { cores: 9 }, 409],
  ])('takes nothing of what the next cycle goes by if %s', async (_what, body, status) => {
    const served = await ready();
    const { node, loop } = served;
    const before = structuredClone(loop.state);
    const lines = node.lines.length;
    expect((await post(served, 'cores', body)).status).toBe(status);
    expect(loop.state).toEqual(before);
    expect(node.lines.length).toBe(lines);
  });

  it('is said in the log to be asked for, and not to be an early evaluation', async () => {
    const served = await ready();
    await post(served, 'cores', { cores: 3 });
    const text = served.node.lines.join('\n');
    expect(text).toContain('Evaluation of 101: api:scale has asked for a change');
    expect(text).not.toContain('Early evaluation');
  });

  it('is refused for a guest that is not there any more', async () => {
    const served = await ready();
    served.node.containers.delete(vmid(101));
    const { status, json } = await post(served, 'cores', { cores: 3 });
    expect({ status, json }).toMatchObject({ status: 409, json: { code: 'refused' } });
    expect(json['detail']).toContain('it is not here any more');
  });

  it('is not made twice', async () => {
    const served = await ready();
    expect((await post(served, 'cores', { cores: 2 })).json).toMatchObject({ outcome: 'already' });
    expect(served.node.sets).toEqual([]);
  });

  it.each<[string, object, string, string, 'scale' | 'admin']>([
    ['less than it needs', { memory: 200 }, 'memory', 'it needs at least', 'scale'],
    ['that, by force', { memory: 200, force: true }, 'memory', 'it needs at least', 'admin'],
    [
      'more than its policy allows',
      { cores: 9 },
      'cores',
      'its policy allows 1 to 8 cores',
      'scale',
    ],
    ['more than the host has', { memory: 9_000_000, force: true }, 'memory', 'host', 'admin'],
    ['another unit', { cpulimit: 1.5 }, 'cpulimit', 'scales its CPU by cores', 'scale'],
    ['a boost that gives less', { seconds: 60, cores: 1 }, 'boost', 'a boost gives more', 'scale'],
  ])('is refused for %s', async (_what, body, route, why, role) => {
    const served = await ready();
    const { status, json } = await post(served, route, body, role);
    expect({ status, json }).toMatchObject({
      status: 409,
      json: { code: 'refused', detail: expect.stringContaining(why) },
    });
    expect(served.node.sets).toEqual([]);
  });

  it('passes the bounds of its policy only for an admin, by force', async () => {
    const served = await ready('  max_cores: 3\n');
    const body = { cores: 4, force: true };
    expect(await post(served, 'cores', body)).toMatchObject({
      status: 403,
      json: { code: 'role' },
    });
    expect((await post(served, 'cores', body, 'admin')).status).toBe(200);
    expect(served.node.get(101).config.cores).toBe(4);
  });

  it.each<[string, (served: Served) => unknown, string]>([
    ['is locked', ({ node }) => node.write(101, { lock: 'backup' }), 'it is locked (backup)'],
    ['does not run', ({ node }) => Object.assign(node.get(101), { running: false }), 'not running'],
    [
      'cannot be seen',
      ({ node }) => Object.assign(node.get(101), { sampleMissing: missing('unreadable', 'EIO') }),
      'EIO',
    ],
    [
      'cannot be backed up',
      ({ node }) => Object.assign(node, { backupFailure: 'the disk is full' }),
      'the disk is full',
    ],
    [
      'is on a node without quorum',
      ({ node }) => Object.assign(node, { quorum: present(false) }),
      'quorum',
    ],
  ])('is not made if the guest %s', async (_what, happens, why) => {
    const served = await ready();
    happens(served);
    const { status, json } = await post(served, 'memory', { memory: 2048 });
    expect([409, 502]).toContain(status);
    expect(json['detail']).toContain(why);
    expect(served.node.sets).toEqual([]);
  });

  it('tells of a failure of the command', async () => {
    const served = await ready();
    const message = 'command failed';
    served.node.pct = () => ({ kind: 'failed', why: 'other', exitCode: 255, message });
    const { status, json } = await post(served, 'cores', { cores: 3 });
    expect({ status, json }).toMatchObject({ status: 502, json: { code: 'failed' } });
    expect(json['detail']).toContain(message);
  });

  it('is for a guest that is only observed, too', async () => {
    const served = await ready('  scaling_mode: observe\n');
    expect((await post(served, 'cores', { cores: 3 })).status).toBe(200);
  });

  it('is not for a guest that is ignored', async () => {
    const served = await ready('  ignore_lxc: [101]\n');
    expect((await post(served, 'cores', { cores: 3 })).json).toMatchObject({ code: 'refused' });
  });
});

describe('a change that is asked for a virtual machine', () => {
  /** 200 has 4 of 4 vCPUs and uses half of one; it has 2048 of 8192 MB and uses 900. */
  async function withMachine(levers: Parameters<typeof machine>[2] = {}): Promise<Served> {
    const served = await serve('  manage_vms: True\n');
    served.node.add(200, machine(200, {}, levers), { current: 900, anon: 900 }).load = 0.5;
    await served.cycle();
    served.pass(10_000);
    await served.cycle();
    served.pass(10_000);
    return served;
  }
  const ask = (served: Served, what: string, body: object) =>
    served.as('admin', 'POST', `/api/v1/guests/200/${what}`, body);

  it('takes vCPUs, whatever its memory can do', async () => {
    const oneWay = { why: 'it has no balloon', remedy: 'give it one' };
    const served = await withMachine({ memoryMib: { min: 2048, oneWay } });
    expect((await ask(served, 'cores', { cores: 3 })).json).toMatchObject({
      changes: [{ resource: 'cores', before: 4, after: 3 }],
    });
    expect((await ask(served, 'memory', { memory: 1024 })).json).toMatchObject({
      code: 'refused',
      detail: expect.stringContaining('it has no balloon'),
    });
  });

  it.each([
    ['cores', { cores: 5 }, 'it can have 1 to 4 cores while it runs'],
    ['memory', { memory: 9000 }, 'it can have 1 to 8192 MB while it runs'],
  ])('is refused by force too beyond what its %s reaches', async (what, body, why) => {
    const served = await withMachine();
    const { status, json } = await ask(served, what, { ...body, force: true });
    expect({ status, json }).toMatchObject({
      status: 409,
      json: { code: 'refused', detail: `VM 200 was not changed: ${why}` },
    });
    expect(served.node.done).toEqual([]);
    expect((await ask(served, 'pause', { minutes: 5 })).json['says']).toMatch(/^VM 200 is left/);
  });
});

it.each([
  ['guests/101/cores', { cores: '5' }, 'cores of the body must be of the type number'],
  ['guests/101/cores', { cores: 1.5 }, 'cores of the body must be a whole number'],
  ['guests/101/cores', { cores: 0 }, 'cores of the body is too small; allowed: from 1'],
  [
    'login',
    { user: 'root@pam', password: '' },
    'password of the body is too short; allowed: from 1 characters',
  ],
  ['guests/101/memory', { memory: 1024, now: true }, 'the body has what is not known here: now'],
  ['guests/101/pause', {}, 'minutes of the body must be of the type'],
  [
    'config/mode',
    { mode: 'off' },
    'mode of the body is missing or not known; allowed: active, obs',
  ],
])('a body of %s that is wrong is told what is allowed', async (path, body, why) => {
  const served = await ready();
  const { status, json } = await served.as('admin', 'POST', `/api/v1/${path}`, body);
  expect({ status, json }).toMatchObject({ status: 400, json: { code: 'wrong-request' } });
  expect(json['detail']).toContain(why);
});

/** Node tells of each request that a server gets. */
const EVERY_REQUEST = 'http.server.request.start';

describe('while the node is at work', () => {
  /** Its turn is taken until `end` is called. */
  function atWork(served: Served): { readonly end: () => Promise<void> } {
    let release = (): void => {};
    const work = served.during(
      () =>
        new Promise<void>((resolve) => {
          release = resolve;
        }),
    );
    return {
      end: () => {
        release();
        return work;
      },
    };
  }

  it('eight wishes wait for their turn, and a further one is refused', async () => {
    const served = await ready();
    const { end } = atWork(served);
    const asked = Array.from({ length: 9 }, () => post(served, 'pause', { minutes: 30 }));
    const first = await Promise.race(asked);
    expect(first).toMatchObject({ status: 503, json: { code: 'busy' } });
    await end();
    const statuses = (await Promise.all(asked)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(8);
    expect((await post(served, 'cores', { cores: 3 })).status).toBe(200);
  });

  it('a wish of somebody who has gone is dropped', async () => {
    const served = await ready();
    const { end } = atWork(served);
    let isGone = false;
    const notice = (message: unknown): void => {
      const { response } = message as { readonly response: ServerResponse };
      response.on('close', () => {
        isGone = true;
      });
    };
    subscribe(EVERY_REQUEST, notice);
    const body = JSON.stringify({ cores: 6 });
    const socket = connect(served.port, '127.0.0.1');
    socket.write(
      'POST /api/v1/guests/101/cores HTTP/1.1\r\nHost: localhost\r\n' +
        `Authorization: Bearer ${TOKENS.scale}\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`,
    );
    await until(() => served.inLine() === 1);
    unsubscribe(EVERY_REQUEST, notice);
    socket.destroy();
    await until(() => isGone);
    await end();
    await served.during(async () => {});
    expect(served.node.done).toEqual([]);
  });

  it.each([
    ['pause', { minutes: 30 }],
    ['resume', {}],
    ['rollback', {}],
  ])('a %s waits too', async (what, body) => {
    const served = await ready();
    const { end } = atWork(served);
    let isAnswered = false;
    const asked = post(served, what, body).finally(() => {
      isAnswered = true;
    });
    await until(() => isAnswered || served.inLine() === 1);
    expect([isAnswered, served.node.holds.size]).toEqual([false, 0]);
    await end();
    await asked;
    expect(served.node.holds.size).toBe(what === 'rollback' ? 0 : 1);
  });
});

describe('a boost that is asked for', () => {
  it('is given back on time', async () => {
    const served = await ready();
    const { json } = await post(served, 'boost', { seconds: 600, cores: 6 });
    expect(json).toMatchObject({ changes: [{ before: 2, after: 6 }] });
    served.node.rebalance();
    served.pass(300_000);
    await served.cycle();
    expect(served.node.get(101).config.cores).toBe(6);
    const more = await post(served, 'boost', { seconds: 600, cores: 8 });
    expect(more.json).toMatchObject({ detail: expect.stringContaining('a boost already') });
    served.pass(301_000);
    await served.cycle();
    expect(served.node.get(101).config.cores).toBe(2);
  });
});

describe('a pause', () => {
  it('keeps the loop from a guest until it is over, and who asks is not kept', async () => {
    const served = await ready();
    expect((await post(served, 'pause', { minutes: 30 })).status).toBe(200);
    served.node.get(101).load = 2;
    for (let cycle = 0; cycle < 2; cycle += 1) {
      await served.cycle();
      served.pass(300_000);
    }
    expect(served.node.sets).toEqual([]);
    const { json } = await served.as('read', 'GET', '/api/v1/guests/101');
    expect(JSON.stringify(json)).toContain('paused by api:scale');
    expect((await post(served, 'memory', { memory: 2048 })).status).toBe(200);
    const resumed = await post(served, 'resume', {});
    expect(resumed.json).toMatchObject({ until: null });
    expect(served.node.holds.get(vmid(101))?.untilMs).toBeLessThanOrEqual(served.node.nowMs);
  });
});

describe('the addresses of earlier installations', () => {
  it('take what scripts send there', async () => {
    const served = await ready();
    const cores = { vm_id: 101, cores: 4 };
    const given = await served.as('scale', 'POST', '/scale/cores', cores);
    expect(given).toMatchObject({
      status: 200,
      json: { status: 'success', message: expect.stringContaining('101'), data: '' },
    });
    served.node.rebalance();
    served.pass(10_000);
    const ram = { vm_id: '101', memory: 2048 };
    expect((await served.as('scale', 'POST', '/scale/ram', ram)).status).toBe(200);
    expect(served.node.get(101).config).toMatchObject({ cores: 4, memoryMib: 2048 });
    const nodes = '/resource/node/status';
    for (const path of [
      '/resource/vm/status?vm_id=101',
      nodes,
      `${nodes}?node_name=pve1`,
      '/routes',
    ]) {
      expect((await served.as('read', 'GET', path)).status).toBe(200);
    }
    const other = await served.as('read', 'GET', `${nodes}?node_name=proxmox`);
    expect(other).toMatchObject({ status: 404, json: { code: 'no-such-node' } });
    const clone = await served.as('scale', 'POST', '/clone/create', { old_vm_id: 101 });
    expect(clone).toMatchObject({ status: 400, json: { code: 'wrong-request' } });
  });
});

it('a reload and the check of a text are for an admin', async () => {
  const served = await ready();
  await served.as('admin', 'POST', '/api/v1/reload?dry_run=1', {});
  expect(served.reloads()).toBe(0);
  await served.as('admin', 'POST', '/api/v1/reload', {});
  expect(served.reloads()).toBe(1);
  const text = 'DEFAULT:\n  poll_intervall: 5\n';
  const { json } = await served.as('admin', 'POST', '/api/v1/config/validate', { text });
  expect(json).toMatchObject({ ok: false, problems: [{ line: 2, key: 'poll_intervall' }] });
});

it('events come as they happen, to no more listeners than there may be', async () => {
  const served = await ready();
  const { text, headers } = await served.as('read', 'GET', '/api/v1/events');
  expect([headers['content-type'], text]).toEqual(['text/event-stream', ': welcome\n\n']);
});

it('whoever asks only for the head of the events does not listen', async () => {
  const served = await ready();
  for (let round = 0; round < 20; round += 1) {
    expect((await served.as('read', 'HEAD', '/api/v1/events')).status).toBe(200);
  }
  expect((await served.as('read', 'GET', '/api/v1/events')).status).toBe(200);
});

describe('an id that two nodes have', () => {
  it('says nothing without its node', async () => {
    const served = await ready();
    const beside = await ready('', 'lab');
    served.beside(beside.loop);
    const { status, json } = await post(served, 'memory', { memory: 2048 });
    expect([status, json['code']]).toEqual([409, 'which-node']);
    expect(json['detail']).toBe('There is a guest 101 on pve1 and lab; add ?node=NAME');
    expect([served.node.done, beside.node.done]).toEqual([[], []]);
    const there = await post(served, 'memory?node=lab', { memory: 2048 });
    expect(there.status).toBe(200);
    expect([served.node.done, beside.node.done]).toEqual([[], ['backup 101', 'set 101']]);
  });
});
