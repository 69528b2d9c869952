import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

/** The API of a large cluster, as far as it is asked: its guests are quiet, but for one at will. */

const certificates = join(process.cwd(), 'test/notify/certificates');
export const CLUSTER_CA = join(certificates, 'authority.pem');
const pem = (name: string): Buffer => readFileSync(join(certificates, name));
const GIB = 2 ** 30;
const CORES = 2;

export class LargeCluster {
  /** What was asked for since somebody has set it to nothing. */
  readonly asked = { looks: 0, configs: 0, changes: 0 };
  readonly #nodes: number;
  readonly #guests: number;
  readonly #cores = new Map<number, number>();
  readonly #server: Server;
  readonly #begunMs = Date.now();
  #busy: { readonly vmid: number; readonly changed: () => void } | undefined;

  constructor(nodes: number, guests: number) {
    this.#nodes = nodes;
    this.#guests = guests;
    const tls = { cert: pem('server.pem'), key: pem('server-key.pem') };
    this.#server = createServer(tls, async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      const data = this.#answer(request.method ?? '', request.url ?? '', body);
      response.end(JSON.stringify({ data }));
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** The guest uses all of its cores from now on. Resolves when it has got more. */
  saturate(vmid: number): Promise<void> {
    return new Promise((changed) => {
      this.#busy = { vmid, changed };
    });
  }

  #answer(method: string, url: string, body: string): unknown {
    if (url.includes('/cluster/resources')) {
      this.asked.looks += 1;
      return [...this.#rows()];
    }
    if (url.includes('/cluster/status')) return [{ type: 'cluster', quorate: 1 }];
    const vmid = Number(/\/lxc\/(\d+)\//.exec(url)?.[1]);
    if (method === 'PUT') {
      this.asked.changes += 1;
      this.#cores.set(vmid, Number(new URLSearchParams(body).get('cores')));
      if (vmid === this.#busy?.vmid) this.#busy.changed();
      return null;
    }
    this.asked.configs += 1;
    const config = this.#config(vmid);
    if (!url.includes('/pending')) return config;
    return Object.entries(config).map(([key, value]) => ({ key, value }));
  }

  *#rows(): Generator<object> {
    const uptime = 100_000 + Math.floor((Date.now() - this.#begunMs) / 1000);
    for (let node = 1; node <= this.#nodes; node += 1) {
      const of = { node: `pve${node}`, id: `node/pve${node}`, type: 'node', status: 'online' };
      yield { ...of, cpu: 0.3, maxcpu: 1200, mem: 300 * GIB, maxmem: 1000 * GIB, uptime };
      for (let index = 0; index < this.#guests; index += 1) {
        yield this.#row(node, node * 1000 + index, uptime);
      }
    }
  }

  #row(node: number, vmid: number, uptime: number): object {
    return {
      id: `lxc/${vmid}`,
      type: 'lxc',
      vmid,
      node: `pve${node}`,
      name: `ct${vmid}`,
      status: 'running',
      template: 0,
      tags: 'prod',
      uptime,
      cpu: vmid === this.#busy?.vmid ? 1 : 0.4 + (uptime % 10) / 100,
      maxcpu: this.#cores.get(vmid) ?? CORES,
      mem: GIB / 2 + (uptime % 7) * 1e6,
      maxmem: GIB,
      disk: 5e8,
      maxdisk: 8 * GIB,
      diskread: 1e8,
      diskwrite: 1e8,
      netin: 1e7,
      netout: 1e7,
    };
  }

  #config(vmid: number): object {
    const cores = this.#cores.get(vmid) ?? CORES;
    const hardware = `BC:24:11:00:${hex(vmid >> 8)}:${hex(vmid)}`;
    return {
      arch: 'amd64',
      cores,
      memory: 1024,
      swap: 512,
      ostype: 'debian',
      tags: 'prod',
      hostname: `ct${vmid}`,
      rootfs: `local-lvm:vm-${vmid}-disk-0,size=8G`,
      net0: `name=eth0,bridge=vmbr0,hwaddr=${hardware},type=veth`,
      digest: `${vmid}${cores}`.padStart(40, '0'),
    };
  }
}

const hex = (value: number): string => (value & 255).toString(16).padStart(2, '0').toUpperCase();
