import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { guestSpec, type RestNode, restNode, SECRET } from '../node/api/rest-node.ts';
import { plant, temporaryDirectory } from '../node/local/world.ts';
import { PATIENCE_MS, until } from '../patience.ts';
import { ImageUnderTest, type RunningContainer, whyNoImage } from './image-under-test.ts';

/** The container image: built, run as the Makefile and earlier installations run it, and ended. */

const CHECKOUT = new URL('../..', import.meta.url).pathname;
const cannot = whyNoImage();
const LIMIT_MS = 10 * PATIENCE_MS;

let image: ImageUnderTest;
let directory: string;
let rest: RestNode;

describe('the image', { timeout: LIMIT_MS }, () => {
  beforeAll(async () => {
    if (cannot === undefined) image = await ImageUnderTest.build();
  }, LIMIT_MS);
  afterAll(() => image?.remove(), LIMIT_MS);

  beforeEach(async (context) => {
    if (cannot !== undefined) return context.skip(cannot);
    directory = temporaryDirectory();
    chmodSync(directory, 0o755);
    // It has nearly filled its memory.
    rest = await restNode([{ ...guestSpec(201), demand: () => ({ cpuCores: 0.1, anonMib: 980 }) }]);
    rest.node.advance(60_000);
    const entry = rest.entry.replace('LAB_TOKEN', 'PVE1_TOKEN');
    plant(directory, {
      'config/config.yaml': `DEFAULT: {poll_interval: 1}\nNODES:\n  lab:\n${entry}`,
      'config/pve1.token': `${SECRET}\n`,
    });
  });

  /** What follows `docker run` in what a target of the Makefile starts. */
  function lineOf(target: string): readonly string[] {
    const record = join(directory, 'docker');
    writeFileSync(record, '#!/bin/sh\nprintf "%s\\n" "$@"\n', { mode: 0o755 });
    const argv = ['--silent', target, `DOCKER=${record}`, `CURDIR=${directory}`];
    const { stdout } = spawnSync('make', argv, { cwd: CHECKOUT, encoding: 'utf8' });
    const [verb, ...line] = stdout.trimEnd().split('\n');
    expect(verb).toBe('run');
    return line;
  }

  async function whileItRuns(
    line: readonly string[],
    work: (container: RunningContainer) => Promise<void>,
  ): Promise<void> {
    const volumes = join(directory, 'volumes');
    mkdirSync(volumes);
    const container = image.run(line, volumes);
    try {
      await work(container);
    } finally {
      await container.kill();
    }
  }

  const [, ...health] = ['CMD', 'lxc-autoscale', 'health-check'];

  it('says who runs it, what is kept, and how its health is asked', () => {
    expect(image.config).toMatchObject({
      User: '1000:1000',
      Volumes: { '/state': {} },
      StopSignal: 'SIGTERM',
      Entrypoint: ['lxc-autoscale'],
      Cmd: ['daemon'],
      Healthcheck: { Test: ['CMD', ...health] },
    });
  });

  it('by make run: read-only, as user 1000, red, green, and ended in order', async () => {
    await whileItRuns(lineOf('run'), async (container) => {
      const out = () => container.said().stdout + container.said().stderr;
      await vi.waitFor(
        async () => expect(await container.exec(...health)).toMatchObject({ code: 0 }),
        PATIENCE_MS,
      );
      await until(() => (rest.node.limits(201)?.memoryMib ?? 0) > 1024, out);
      expect(out()).toContain('This host is no Proxmox VE node');
      expect(await container.exec('id', '-u')).toEqual({ code: 0, out: '1000\n' });
      const written = await container.exec('touch', '/usr/a', '/tmp/a', '/app/config/a');
      expect(written.out.match(/Read-only file system/g)).toHaveLength(3);
      for (const flag of ['--health-check', '--validate-config', '--status', '--help']) {
        expect(await container.exec('lxc-autoscaler', flag)).toMatchObject({ code: 0 });
      }
      expect((await container.exec('ssh', '-V')).code).toBe(0);
      await rest.server.close();
      await vi.waitFor(
        async () =>
          expect(await container.exec(...health)).toMatchObject({
            code: 1,
            out: expect.stringMatching(/FAILED +cycle +lab: /),
          }),
        PATIENCE_MS,
      );
      container.child.kill('SIGTERM');
      expect(await container.ended).toBe(0);
      expect(out()).toMatch(/Stopped\.\n$/);
      expect(out()).not.toContain(SECRET);
    });
    const kept = join(directory, 'volumes/lxc_autoscaler_state');
    expect(existsSync(join(kept, 'backups/nodes/lab/201'))).toBe(true);
    expect(readFileSync(join(kept, 'log/lxc_autoscale.json'), 'utf8')).toContain('Increase Memory');
  });

  it.each(['validate-config', 'dry-run'])('make %s ends, and changes nothing', async (target) => {
    await whileItRuns(lineOf(target), async (container) => {
      const said = () => JSON.stringify(container.said());
      expect({ code: await container.ended, said: said() }).toMatchObject({ code: 0 });
    });
    expect(rest.node.limits(201)?.memoryMib).toBe(1024);
  });

  it('as earlier installations ran theirs, with directories for both mounts', async () => {
    mkdirSync(join(directory, 'logs'));
    const mounts = ['config', 'logs'].flatMap((one) => ['-v', `${directory}/${one}:/app/${one}`]);
    const limits = ['--memory=256m', '--cpus=0.5', '--log-driver', 'json-file'];
    const token = ['-e', `PVE1_TOKEN=${SECRET}`];
    const user = ['--user', '1000:1000', '--read-only', '-v', '/tmp'];
    const line = ['-d', '--name', 'lxc_autoscaler', ...mounts, ...limits, ...token, ...user];
    await whileItRuns([...line, 'lxc_autoscaler'], async (container) => {
      await vi.waitFor(
        async () => expect(await container.exec(...health)).toMatchObject({ code: 0 }),
        PATIENCE_MS,
      );
      container.child.kill('SIGTERM');
      expect(await container.ended).toBe(0);
    });
  });
});
