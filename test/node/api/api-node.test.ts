import { describe, expect, it } from 'vitest';
import type { GuestConfig } from '../../../src/core/observation.ts';
import { cores, mib, type Vmid } from '../../../src/core/units.ts';
import { cpuUsage } from '../../../src/core/usage.ts';
import type { ApiNode } from '../../../src/node/api/api-node.ts';
import { guestFile } from '../../../src/node/api/guest-config.ts';
import { parseResources, resourcesIn, type SeenGuest } from '../../../src/node/api/resources.ts';
import { parseGuestConfig } from '../../../src/node/guests/lxc-conf.ts';
import type { RestCall, RestFault } from '../../../src/sim/rest-server.ts';
import type { VmSpec } from '../../../src/sim/vms.ts';
import { vmid } from '../../core/builders.ts';
import { until } from '../../patience.ts';
import { haveSameShape } from '../../same-shape.ts';
import { MACHINES } from '../machine-contract.ts';
import { guestSpec, LOGIN, NEVER, type RestNode, restNode, SECRET } from './rest-node.ts';

const ID = vmid(101);

function configOf({ eyes }: ApiNode, id: Vmid = ID): GuestConfig {
  const config = eyes.guests.read(id);
  if (!config.ok) throw new Error(config.detail);
  return config.value.config;
}

const asked = ({ server }: RestNode): string[] =>
  server.calls.splice(0).map(({ method, path }) => `${method} ${path}`);

const CONFIG = '/nodes/pve1/lxc/101';
const READS = [`GET ${CONFIG}/config?current=1`, `GET ${CONFIG}/pending`];
const RESOURCES = 'GET /cluster/resources';

const GIB = 1024 ** 3;
const NODE = { type: 'node', node: 'pve1', status: 'online' };
const ONLINE = { ...NODE, cpu: 0.1, maxcpu: 8, mem: GIB, maxmem: 16 * GIB };
const RUNS = { type: 'lxc', node: 'pve1', name: 'web', status: 'running', uptime: 90_000 };
const GUEST_ROW = { ...RUNS, cpu: 0.1, maxcpu: 2, mem: GIB / 2, maxmem: GIB };

/** What is answered at these paths. */
const answering =
  (answers: Readonly<Record<string, unknown>>) =>
  ({ path }: RestCall): RestFault | undefined => {
    if (!Object.hasOwn(answers, path)) return undefined;
    const body = JSON.stringify({ data: answers[path] });
    return { kind: 'answers', status: 200, words: 'OK', body };
  };

/** A look, and the time until the next one. */
async function look(rest: RestNode, { eyes }: ApiNode): Promise<string[]> {
  await eyes.observe();
  rest.time.ms += 10_000;
  return asked(rest);
}

describe('a look over the API', () => {
  it('is one request, once each guest is known', async () => {
    const rest = await restNode([guestSpec(101)]);
    const node = rest.apiNode();
    expect(await look(rest, node)).toEqual([RESOURCES, 'GET /cluster/status', ...READS]);
    expect(await look(rest, node)).toEqual([RESOURCES]);
    rest.node.editConfig(101, (text) => text.replace('cores: 2', 'cores: 3'));
    expect(await look(rest, node)).toEqual([RESOURCES, ...READS]);
    expect(configOf(node).cores).toBe(3);
    rest.node.stopContainer(101);
    rest.node.startContainer(101);
    expect(await look(rest, node)).toEqual([RESOURCES, ...READS]);
    expect(await look(rest, node)).toEqual([RESOURCES]);
  });

  it('asks nothing of machines that nobody wants, and nothing more of quiet ones', async () => {
    const tagged = { ...MACHINES[0], settings: { ...MACHINES[0]?.settings, tags: 'autoscale' } };
    const rest = await restNode([], false, [tagged as VmSpec, ...MACHINES.slice(1)]);
    const node = rest.apiNode();
    expect(await look(rest, node)).toEqual([RESOURCES, 'GET /cluster/status']);
    expect(node.eyes.host.observe().vmMemoryMib).toEqual({ ok: true, value: 3 * 2048 });
    node.lookAfter({
      anyNamed: false,
      isWanted: ({ tags }) => tags.includes('autoscale'),
      mayBeWanted: () => false,
    });
    const home = '/nodes/pve1/qemu/200';
    const reads = [`GET ${home}/config?current=1`, `GET ${home}/pending`];
    expect(await look(rest, node)).toEqual([RESOURCES, ...reads]);
    expect(await look(rest, node)).toEqual([RESOURCES]);
    expect(node.eyes.host.observe().vmMemoryMib).toEqual({ ok: true, value: 2 * 2048 });
    rest.node.editVm(200, (text) => text.replace('vcpus: 2', 'vcpus: 3'));
    expect(await look(rest, node)).toEqual([RESOURCES, ...reads]);
    expect(configOf(node, vmid(200)).cores).toBe(3);
  });

  it('is one for all nodes of a cluster that look at the same time', async () => {
    const rest = await restNode([guestSpec(101)]);
    const [one, other] = rest.apiNodes('pve1', 'pve2');
    await Promise.all([one?.eyes.observe(), other?.eyes.observe()]);
    expect(asked(rest).filter((line) => line === RESOURCES)).toHaveLength(1);
    expect(other?.eyes.guests.list()).toEqual({ ok: true, value: new Map() });
    expect(other?.eyes.host.observe().cpus).toMatchObject({
      ok: false,
      detail: 'the cluster has no node pve2',
    });
  });

  it('is of the only node there, if none is named', async () => {
    const rest = await restNode([guestSpec(101)]);
    const [node] = rest.apiNodes(undefined);
    expect(node?.eyes.guests.list()).toMatchObject({ ok: false });
    await node?.eyes.observe();
    expect(node?.eyes.guests.list()).toMatchObject({ ok: true });
    const file = node?.eyes.guests.read(ID);
    if (file?.ok !== true) throw new Error('it was not read');
    const request = { vmid: ID, cores: cores(3), digest: file.value.config.digest };
    expect(await node?.hands.apply(request, NEVER)).toEqual({ kind: 'done' });
    rest.time.ms += 10_000;
    await node?.eyes.observe();
    expect(node?.eyes.guests.read(ID)).toMatchObject({ value: { config: { cores: 3 } } });
  });

  it('of no named node is of none where there are several', async () => {
    const rest = await restNode([guestSpec(101)]);
    const two = ['pve1', 'pve2'].map((node) => ({ type: 'node', node, status: 'online' }));
    const guest = { type: 'lxc', node: 'pve1', vmid: 101, status: 'stopped' };
    const body = JSON.stringify({ data: [...two, guest] });
    rest.server.fault = () => ({ kind: 'answers', status: 200, words: 'OK', body });
    const [node] = rest.apiNodes(undefined);
    await node?.eyes.observe();
    const why = /there are several nodes, pve1, pve2; make an entry of NODES for each/;
    expect(node?.eyes.guests.list()).toMatchObject({ detail: expect.stringMatching(why) });
    expect(node?.eyes.host.observe().cpus).toMatchObject({ detail: expect.stringMatching(why) });
    const request = { vmid: ID, cores: cores(3), digest: 'a'.repeat(40) };
    const outcome = await node?.hands.apply(request, NEVER);
    expect(outcome).toMatchObject({ kind: 'not-started', message: expect.stringMatching(why) });
  });

  it('tells what of the CPUs has been used since the look before', async () => {
    const rest = await restNode([guestSpec(101)]);
    const node = rest.apiNode();
    await look(rest, node);
    const before = node.eyes.cgroups.sample(ID);
    rest.node.advance(20_000);
    await look(rest, node);
    const now = node.eyes.cgroups.sample(ID);
    if (!before.ok || !now.ok) throw new Error('it runs');
    const usage = cpuUsage(before.value, now.value, configOf(node), { ok: true, value: 8 });
    expect(usage).toMatchObject({ ok: true, value: { overMs: 10_000, allowed: 2 } });
    expect(usage.ok && usage.value.used).toBeCloseTo(1, 1);
  });

  it('does not read all configurations of a large node at once', async () => {
    const ids = Array.from({ length: 60 }, (_, index) => 101 + index);
    const rest = await restNode(ids.map((id) => ({ ...guestSpec(id), running: false })));
    const node = rest.apiNode();
    const read = (): number => {
      const list = node.eyes.guests.list();
      return list.ok ? [...list.value.values()].filter(({ ok }) => ok).length : 0;
    };
    await look(rest, node);
    expect(read()).toBe(50);
    await look(rest, node);
    expect(read()).toBe(60);
  });
});

describe('configurations that cannot be read', () => {
  it('do not keep others from being read, and are tried again a few at a time', async () => {
    const ids = Array.from({ length: 60 }, (_, index) => 101 + index);
    const rest = await restNode(ids.map((id) => ({ ...guestSpec(id), running: false })));
    rest.server.fault = ({ path }) => {
      const id = Number(/\/lxc\/([0-9]+)\/config/.exec(path)?.[1] ?? 0);
      return id > 100 && id <= 155 ? { kind: 'answers', status: 500, words: 'no' } : undefined;
    };
    const node = rest.apiNode();
    const tried = async (): Promise<number[]> => {
      const all = (await look(rest, node)).map((line) => /\/lxc\/([0-9]+)\/config/.exec(line)?.[1]);
      return all.flatMap((id) => (id === undefined ? [] : [Number(id)])).sort((a, b) => a - b);
    };
    expect(await tried()).toEqual(ids.slice(0, 50));
    const second = await tried();
    expect(second.slice(6)).toEqual(ids.slice(50));
    const third = await tried();
    expect(third).toHaveLength(6);
    expect(third.filter((id) => second.includes(id))).toEqual([]);
    const list = node.eyes.guests.list();
    expect(list.ok && ids.filter((id) => list.value.get(vmid(id))?.ok)).toEqual(ids.slice(55));
  });
});

describe('a look that is stopped', () => {
  const stopIn = async (rest: RestNode, node: ApiNode): Promise<void> => {
    const stop = new AbortController();
    const before = rest.server.calls.length;
    const looked = node.eyes.observe(stop.signal);
    await until(() => rest.server.calls.length > before);
    stop.abort();
    await looked;
  };

  it('ends at once, and all is as it was seen before', async () => {
    const rest = await restNode();
    const node = rest.apiNode();
    await look(rest, node);
    rest.server.fault = () => ({ kind: 'silent' });
    await stopIn(rest, node);
    expect(node.eyes.guests.list()).toMatchObject({ ok: true });
    expect(node.eyes.cgroups.sample(ID)).toMatchObject({ ok: true });
  });

  it('also while it waits for configurations, or for a login', async () => {
    const rest = await restNode();
    rest.server.fault = ({ path }) => (/config/.test(path) ? { kind: 'silent' } : undefined);
    await stopIn(rest, rest.apiNode());
    rest.server.fault = ({ path }) => (/ticket/.test(path) ? { kind: 'silent' } : undefined);
    await stopIn(rest, rest.apiNode({ credentials: LOGIN }));
  });
});

describe('what cannot be seen is missing', () => {
  const listed = ({ eyes }: ApiNode) => eyes.guests.list();

  it('of all guests, if the node does not answer', async () => {
    const rest = await restNode();
    const node = rest.apiNode();
    await look(rest, node);
    rest.server.fault = () => ({ kind: 'reset', isDone: false });
    await look(rest, node);
    expect(listed(node)).toMatchObject({ ok: false, why: 'unreadable' });
    expect(node.eyes.cgroups.sample(ID)).toMatchObject({ ok: false, why: 'unreadable' });
    expect(node.eyes.host.observe().memory).toMatchObject({ ok: false });
    rest.server.fault = undefined;
    await look(rest, node);
    expect(listed(node)).toMatchObject({ ok: true });
    expect(node.eyes.cgroups.sample(ID)).toMatchObject({ ok: true });
  });

  it('of all guests, if none is shown to us, and is not that there is none', async () => {
    const rest = await restNode();
    const credentials = { kind: 'token', id: 'as@pve!noacl', secret: SECRET } as const;
    const node = rest.apiNode({ credentials });
    await look(rest, node);
    expect(listed(node)).toMatchObject({
      ok: false,
      why: 'unreadable',
      detail:
        'as@pve!noacl is shown no guest: it lacks VM.Audit; grant it with: ' +
        "pveum acl modify / --tokens 'as@pve!noacl' --roles LxcAutoscale",
    });
  });

  it('but a node without guests is one', async () => {
    const rest = await restNode([]);
    const node = rest.apiNode();
    await look(rest, node);
    expect(listed(node)).toEqual({ ok: true, value: new Map() });
  });

  it('of the host, without Sys.Audit', async () => {
    const rest = await restNode();
    const credentials = { kind: 'token', id: 'as@pve!cpu', secret: SECRET } as const;
    const node = rest.apiNode({ credentials });
    await look(rest, node);
    expect(listed(node).ok).toBe(true);
    expect(node.eyes.host.observe().memory).toMatchObject({
      ok: false,
      detail: expect.stringMatching(/Sys\.Audit; `lxc-autoscale setup-token`/),
    });
    expect(node.eyes.guests.quorum()).toMatchObject({ ok: false });
  });

  it('of one guest whose configuration does not come', async () => {
    const rest = await restNode();
    rest.server.fault = ({ path }) =>
      path.includes('/101/') ? { kind: 'answers', status: 500, words: 'got timeout' } : undefined;
    const node = rest.apiNode();
    await look(rest, node);
    const list = listed(node);
    expect(list.ok && list.value.get(ID)).toMatchObject({ ok: false, detail: 'got timeout' });
    expect(list.ok && list.value.get(vmid(102))).toMatchObject({ ok: true });
    expect(node.eyes.cgroups.sample(ID)).toMatchObject({ ok: false, why: 'unreadable' });
  });

  it('of a guest that pvestatd does not tell of any more, however it is asked for', async () => {
    const rest = await restNode([guestSpec(101)]);
    const node = rest.apiNode();
    await look(rest, node);
    const row = { type: 'lxc', node: 'pve1', vmid: 101, status: 'unknown', id: 'lxc/101' };
    rest.server.fault = answering({ '/cluster/resources': [ONLINE, row] });
    await look(rest, node);
    const list = listed(node);
    const said = { ok: false, detail: expect.stringContaining('does pvestatd run on pve1') };
    expect(list.ok && list.value.get(ID)).toMatchObject(said);
    expect(node.eyes.guests.read(ID)).toMatchObject(said);
    rest.server.fault = undefined;
    await look(rest, node);
    expect(configOf(node).cores).toBe(2);
  });

  it('of the quorum, as soon as another node is away', async () => {
    const rest = await restNode([guestSpec(101)]);
    const node = rest.apiNode();
    const other = { ...ONLINE, node: 'pve2' };
    const row = (vmid: number) => ({ ...GUEST_ROW, vmid });
    const cluster = (isQuorate: number, ...nodes: readonly object[]) =>
      answering({
        '/cluster/resources': [...nodes, row(101)],
        '/cluster/status': [{ type: 'cluster', name: 'lab', quorate: isQuorate }],
      });
    rest.server.fault = cluster(1, ONLINE, other);
    await look(rest, node);
    expect(await look(rest, node)).toEqual([RESOURCES]);
    expect(node.eyes.guests.quorum()).toEqual({ ok: true, value: true });
    rest.server.fault = cluster(0, ONLINE, { type: 'node', node: 'pve2', status: 'offline' });
    expect(await look(rest, node)).toEqual([RESOURCES, 'GET /cluster/status']);
    expect(node.eyes.guests.quorum()).toEqual({ ok: true, value: false });
    rest.server.fault = cluster(1, ONLINE, other);
    expect(await look(rest, node)).toEqual([RESOURCES, 'GET /cluster/status']);
    expect(await look(rest, node)).toEqual([RESOURCES]);
    expect(node.eyes.guests.quorum()).toEqual({ ok: true, value: true });
  });

  it('of a guest of which pvestatd tells nothing', () => {
    const row = { type: 'lxc', node: 'pve1', vmid: 101, status: 'unknown', id: 'lxc/101' };
    const sight = parseResources([row]);
    expect(sight.ok && sight.value.guests.get('pve1')?.lxc.get(ID)).toMatchObject({
      ok: false,
      why: 'unreadable',
      detail: expect.stringContaining('pvestatd'),
    });
  });

  it.each([[null], [{}], ['text'], [[null, 3, 'x']], [[{ type: 'lxc', node: 3, vmid: 101 }]]])(
    'of nothing, if an answer is %j, and nothing breaks',
    (data) => {
      const sight = parseResources(data);
      expect(sight.ok ? sight.value.guests.size : 0).toBe(0);
    },
  );
});

describe('the text of an answer', () => {
  const row = (id: number, name = `ct${id}`) => ({
    type: 'lxc',
    node: 'pve1',
    vmid: id,
    status: 'running',
    name,
    tags: 'a;b',
    cpu: 0.1,
    maxcpu: 2,
    mem: 1,
    maxmem: 2,
    uptime: 5,
  });
  const many = (name?: string) =>
    Array.from({ length: 3000 }, (_, index) => row(100 + index, name));
  const seenIn = (text: string): readonly SeenGuest[] => {
    const sight = resourcesIn(text);
    const all = sight.ok ? [...(sight.value.guests.get('pve1')?.lxc.values() ?? [])] : [];
    return all.flatMap((one) => (one.ok ? [one.value] : []));
  };

  it.each<[string, string]>([
    ['as Proxmox VE writes it', JSON.stringify({ data: many() })],
    ['with more beside it', JSON.stringify({ data: many(), total: 3000 })],
    ['beside more', JSON.stringify({ total: 3000, data: many() })],
    ['with blanks', JSON.stringify({ data: many() }, null, 1)],
    [
      'with names that look like its pieces',
      JSON.stringify({ data: many('x},{"y":[{'.repeat(9)) }),
    ],
    [
      'with lists within',
      JSON.stringify({ data: many().map((one) => ({ x: [one, one], ...one })) }),
    ],
  ])('is understood %s', (_, text) => {
    const seen = seenIn(text);
    expect([seen.length, seen[0]?.vmid, seen.at(-1)?.vmid]).toEqual([3000, 100, 3099]);
  });

  it('is none if it is cut off anywhere', () => {
    const text = JSON.stringify({ data: many() });
    for (const end of [text.indexOf('},{', 200_000) + 1, 200_000, text.length - 1, 9, 0]) {
      expect(() => resourcesIn(text.slice(0, end))).toThrow();
    }
  });

  it('gives guests of one shape, which keep their texts from look to look', () => {
    const text = JSON.stringify({ data: many() });
    const first = resourcesIn(text);
    if (!first.ok) throw new Error(first.detail);
    const next = resourcesIn(text.replace('"maxcpu":2', '"maxcpu":3'), first.value);
    const of = ({ value }: typeof first, id: number) => {
      const one = value.guests.get('pve1')?.lxc.get(vmid(id));
      if (one?.ok !== true) throw new Error('it is not there');
      return one.value;
    };
    if (!next.ok) throw new Error(next.detail);
    expect([of(next, 100).maxCpus, of(next, 101).maxCpus]).toEqual([3, 2]);
    expect(of(next, 101).tags).toBe(of(first, 101).tags);
    expect(of(next, 100).tags).toEqual(['a', 'b']);
    expect(haveSameShape(of(first, 100), of(first, 3000))).toBe(true);
  });
});

describe('a configuration over the API', () => {
  const FORMS = [
    'arch: amd64\ncores: 2\nhostname: web\nmemory: 512\nrootfs: local-lvm:vm-101-disk-0,size=4G\n',
    'arch: amd64\nmemory: 512\nrootfs: local:101/a.raw,size=4G\nlock: backup\ntemplate: 1\n',
    '#first\n#memory%3A 64\narch: amd64\ncpulimit: 1.5\ncores: 4\nmemory: 2048\nswap: 0\n' +
      'net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:60:1F:90,type=veth\ntags: a;b\n' +
      'rootfs: local-lvm:vm-101-disk-0,size=4G\nlxc.cgroup2.cpuset.cpus: 3\n' +
      '[pve:pending]\nmemory: 4096\ndelete: swap\n[snap]\nmemory: 64\ncores: 1\n',
  ];

  it.each(FORMS)('says what its file says, with the digest of that: %j', async (conf) => {
    const rest = await restNode([{ ...guestSpec(101), conf }]);
    const node = rest.apiNode();
    await look(rest, node);
    const file = rest.node.machine.files.read(101) ?? '';
    const own = parseGuestConfig(ID, Buffer.from(file));
    expect(own.ok).toBe(true);
    expect(configOf(node)).toEqual(own.ok ? own.value : undefined);
    const kept = node.eyes.guests.read(ID);
    const again = kept.ok ? parseGuestConfig(ID, kept.value.content) : undefined;
    const { digest: _, ...values } = configOf(node);
    expect(again).toMatchObject({ ok: true, value: values });
  });

  const DIGEST = '5fcc09ae4590db566580379551351a844a1eecde';
  const pending = [{ key: 'digest', value: DIGEST }];

  it.each([
    [{ memory: '512', digest: DIGEST }, [], 'changed while it was read'],
    [{ memory: '512', digest: 'none' }, pending, 'not understood'],
    [null, pending, 'not understood'],
    [{ hostname: 'a\nmemory: 64', digest: DIGEST }, pending, 'more than a line'],
  ])('is missing where it cannot be true: %j', (config, waiting, why) => {
    expect(guestFile({ vmid: ID, kind: 'lxc' }, config, waiting)).toMatchObject({
      ok: false,
      detail: expect.stringContaining(why),
    });
  });

  it('has lines of a description that are no settings', () => {
    const config = { memory: 512, description: 'a\nmemory: 64\n', digest: DIGEST };
    expect(guestFile({ vmid: ID, kind: 'lxc' }, config, pending)).toMatchObject({
      ok: true,
      value: { config: { memoryMib: 512, digest: DIGEST } },
    });
  });
});

describe('a change over the API', () => {
  const change = (node: ApiNode, stop = NEVER, cancel?: AbortSignal) =>
    node.hands.apply(
      { vmid: ID, digest: configOf(node).digest, cores: 3, memoryMib: mib(2048) },
      ...[stop, cancel],
    );

  it('is one request, that is not sent again', async () => {
    const rest = await restNode([guestSpec(101)]);
    const node = rest.apiNode();
    await look(rest, node);
    rest.server.fault = ({ method }) => (method === 'PUT' ? { kind: 'cut' } : undefined);
    expect(await change(node)).toMatchObject({ kind: 'failed', why: 'unreachable' });
    expect(asked(rest)).toEqual([`PUT ${CONFIG}/config`]);
    await node.eyes.inspect(ID);
    expect(configOf(node)).toMatchObject({ cores: 3, memoryMib: 2048 });
  });

  it('says if it may not', async () => {
    const rest = await restNode([guestSpec(101)]);
    const credentials = { kind: 'token', id: 'as@pve!cpu', secret: SECRET } as const;
    const node = rest.apiNode({ credentials });
    await look(rest, node);
    expect(await change(node)).toMatchObject({
      kind: 'failed',
      why: 'denied',
      message: expect.stringContaining('VM.Config.Memory'),
    });
  });

  it('is not begun if it is not wanted any more', async () => {
    const rest = await restNode([guestSpec(101)]);
    const node = rest.apiNode();
    await look(rest, node);
    expect(await change(node, NEVER, AbortSignal.abort())).toMatchObject({ kind: 'killed' });
    expect(asked(rest)).toEqual([]);
  });

  it('is left to finish when the program stops', async () => {
    const rest = await restNode([guestSpec(101)]);
    const node = rest.apiNode();
    await look(rest, node);
    const stop = new AbortController();
    rest.server.fault = () => ({ kind: 'slow', delayMs: 100 });
    const made = change(node, stop.signal);
    stop.abort();
    expect(await made).toEqual({ kind: 'done' });
  });

  it('is refused if it is none', async () => {
    const rest = await restNode([guestSpec(101)]);
    const node = rest.apiNode();
    const { digest } = { digest: '0'.repeat(40) };
    for (const request of [{ digest }, { digest, cores: 1.5 }, { digest: 'x', cores: 2 }]) {
      const outcome = await node.hands.apply({ vmid: ID, ...request }, NEVER);
      expect(outcome).toMatchObject({ kind: 'not-started' });
    }
    expect(asked(rest)).toEqual([]);
  });
});
