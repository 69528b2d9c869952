import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { parseArguments } from '../src/cli/command-line.ts';
import { parseConfig } from '../src/config/load.ts';
import { temporaryDirectory } from './node/local/world.ts';

/** What is below deploy/, and the Makefile, without an image and without a network. */

const CHECKOUT = new URL('..', import.meta.url).pathname;
const read = (name: string): string => readFileSync(join(CHECKOUT, 'deploy', name), 'utf8');
const yaml = (name: string): unknown => load(read(name));

const RUN =
  '--init --read-only --cap-drop ALL --security-opt no-new-privileges --memory 256m --cpus 0.5 ' +
  '--volume HERE/config:/app/config:ro --env PVE1_TOKEN_FILE=/app/config/pve1.token';
const COMPOSE = 'docker compose --file deploy/docker-compose.yml';
const START = 'docker run --detach --name lxc_autoscaler --restart unless-stopped';
const CLEAN = ['docker rm --force lxc_autoscaler', 'docker rmi lxc_autoscaler'];

/** What each target starts. */
const TARGETS: Readonly<Record<string, readonly string[]>> = {
  bundle: ['npm ci', 'npm run build'],
  build: [
    'npm ci',
    'npm run build',
    'docker build --file deploy/Dockerfile --tag lxc_autoscaler .',
  ],
  up: [`${COMPOSE} up --detach`],
  down: [`${COMPOSE} down`],
  restart: ['docker restart -t 60 lxc_autoscaler'],
  run: [`${START} --stop-timeout 60 ${RUN} --volume lxc_autoscaler_state:/state lxc_autoscaler`],
  'run-dev': [`docker run --rm ${RUN} --tty --interactive lxc_autoscaler daemon --dry-run --debug`],
  logs: ['docker logs lxc_autoscaler'],
  'logs-follow': ['docker logs --follow lxc_autoscaler'],
  status: ['docker exec lxc_autoscaler lxc-autoscale status'],
  shell: ['docker exec --tty --interactive lxc_autoscaler bash'],
  'validate-config': [`docker run --rm ${RUN} lxc_autoscaler check-config`],
  'dry-run': [`docker run --rm ${RUN} lxc_autoscaler once --dry-run`],
  'health-check': ['docker exec lxc_autoscaler lxc-autoscale health-check'],
  test: ['npm test --'],
  lint: ['npx biome lint .'],
  format: ['npx biome format --write .'],
  'type-check': ['npx tsc --noEmit', 'npx tsc --noEmit --project src/web'],
  clean: CLEAN,
  'clean-all': [...CLEAN, `${COMPOSE} down --volumes`, 'docker volume rm lxc_autoscaler_state'],
};

describe('make', () => {
  const makefile = readFileSync(join(CHECKOUT, 'Makefile'), 'utf8');
  const targets = [...makefile.matchAll(/^([a-z-]+):/gm)].map(([, name = '']) => name);
  let directory: string;

  beforeEach((context) => {
    if (spawnSync('make', ['--version']).error !== undefined) context.skip('there is no make');
    directory = temporaryDirectory();
    writeFileSync(join(directory, 'Makefile'), makefile);
    cpSync(join(CHECKOUT, 'deploy'), join(directory, 'deploy'), { recursive: true });
    mkdirSync(join(directory, 'dist'));
    const tool = '#!/bin/sh\necho "$*" >> started\n';
    writeFileSync(join(directory, 'tool'), tool, { mode: 0o755 });
  });

  /** The commands that a target starts, one a line. */
  function made(target: string): readonly string[] {
    const tools = ['docker', 'npm', 'npx'].map((name) => `${name.toUpperCase()}=./tool ${name}`);
    const options = { cwd: directory, encoding: 'utf8' } as const;
    const { status, stderr } = spawnSync('make', [target, ...tools], options);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const started = join(directory, 'started');
    if (!existsSync(started)) return [];
    const text = readFileSync(started, 'utf8').replaceAll(directory, 'HERE');
    return text.trimEnd().split('\n');
  }

  it.each(Object.entries(TARGETS))('%s starts what it should', (target, commands) => {
    expect(made(target)).toEqual(commands);
    expect(existsSync(join(directory, 'dist'))).toBe(!target.startsWith('clean'));
  });

  it('has no other targets, and lists them', () => {
    const others = ['help', 'config'];
    expect([...targets].sort()).toEqual([...others, ...Object.keys(TARGETS)].sort());
    const { stdout } = spawnSync('make', { cwd: directory, encoding: 'utf8' });
    const listed = stdout.trimEnd().split('\n');
    expect(listed.map((line) => line.split(' ', 1)[0])).toEqual(targets);
  });

  it('makes a configuration, and never overwrites one', () => {
    const file = join(directory, 'config/config.yaml');
    expect(made('config')).toEqual([]);
    expect(readFileSync(file, 'utf8')).toBe(read('config.yaml'));
    writeFileSync(file, 'mine');
    made('config');
    expect(readFileSync(file, 'utf8')).toBe('mine');
  });
});

/** Commands of this program in the files, without its name. */
const isCommand = (argv: readonly string[]): boolean => parseArguments(argv).kind === 'run';

const HEALTH = z
  .tuple([z.literal('CMD'), z.enum(['lxc-autoscale', 'lxc-autoscaler'])], z.string())
  .refine(([, , ...argv]) => isCommand(argv));

const HEALTHCHECK = z.strictObject({
  test: HEALTH,
  interval: z.literal('30s'),
  timeout: z.literal('10s'),
  start_period: z.literal('60s'),
  retries: z.number(),
});

/** What both files for Docker have of the service. */
const SERVICE = {
  image: z.literal('lxc_autoscaler:latest'),
  stop_grace_period: z.literal('60s'),
  init: z.literal(true),
  user: z.literal('1000:1000'),
  read_only: z.literal(true),
  cap_drop: z.tuple([z.literal('ALL')]),
  environment: z.strictObject({
    LOG_LEVEL: z.string(),
    PVE1_TOKEN_FILE: z.literal('/run/secrets/pve1_token'),
  }),
  secrets: z.tuple([z.literal('pve1_token')]),
  healthcheck: HEALTHCHECK,
};

const COMPOSE_FILE = z.strictObject({
  services: z.strictObject({
    'lxc-autoscaler': z.strictObject({
      ...SERVICE,
      build: z.strictObject({ context: z.literal('..'), dockerfile: z.string() }),
      container_name: z.literal('lxc_autoscaler'),
      restart: z.literal('unless-stopped'),
      security_opt: z.tuple([z.literal('no-new-privileges:true')]),
      mem_limit: z.literal('256m'),
      cpus: z.number(),
      volumes: z.tuple([z.literal('../config:/app/config:ro'), z.literal('state:/state')]),
      logging: z.strictObject({
        driver: z.literal('json-file'),
        options: z.record(z.string(), z.string()),
      }),
    }),
  }),
  volumes: z.strictObject({ state: z.strictObject({}) }),
  secrets: z.strictObject({
    pve1_token: z.strictObject({ file: z.literal('../config/pve1.token') }),
  }),
});

const STACK_FILE = z.strictObject({
  version: z.literal('3.8'),
  services: z.strictObject({
    'lxc-autoscaler': z.strictObject({
      ...SERVICE,
      configs: z.tuple([
        z.strictObject({
          source: z.literal('config_1'),
          target: z.literal('/app/config/config.yaml'),
          mode: z.number(),
        }),
      ]),
      volumes: z.tuple([z.literal('state:/state')]),
      deploy: z.strictObject({
        replicas: z.literal(1),
        update_config: z.strictObject({ order: z.literal('stop-first') }),
        restart_policy: z.strictObject({ condition: z.literal('any'), delay: z.string() }),
        resources: z.strictObject({
          limits: z.strictObject({ memory: z.string(), cpus: z.string() }),
        }),
      }),
    }),
  }),
  volumes: z.strictObject({ state: z.strictObject({}) }),
  secrets: z.strictObject({ pve1_token: z.strictObject({ external: z.literal(true) }) }),
  configs: z.strictObject({ config_1: z.strictObject({ file: z.literal('./config.yaml') }) }),
});

const APP = z.strictObject({ app: z.literal('lxc-autoscaler') });
const named = (name: string) => z.strictObject({ name: z.literal(name), labels: APP });

const PROBE = z.strictObject({
  exec: z.strictObject({
    command: z
      .tuple([z.literal('lxc-autoscale')], z.string())
      .refine(([, ...argv]) => isCommand(argv)),
  }),
  periodSeconds: z.number(),
  timeoutSeconds: z.number(),
  failureThreshold: z.number(),
});
const AMOUNTS = z.strictObject({ cpu: z.string(), memory: z.string() });

const CONTAINER = z.strictObject({
  name: z.literal('lxc-autoscaler'),
  image: z.literal('lxc_autoscaler:latest'),
  imagePullPolicy: z.literal('IfNotPresent'),
  envFrom: z.tuple([
    z.strictObject({ secretRef: z.strictObject({ name: z.literal('lxc-autoscaler-tokens') }) }),
  ]),
  securityContext: z.strictObject({
    allowPrivilegeEscalation: z.literal(false),
    readOnlyRootFilesystem: z.literal(true),
    capabilities: z.strictObject({ drop: z.tuple([z.literal('ALL')]) }),
  }),
  resources: z.strictObject({ requests: AMOUNTS, limits: AMOUNTS }),
  readinessProbe: PROBE,
  livenessProbe: PROBE,
  volumeMounts: z.tuple([
    z.strictObject({
      name: z.literal('config'),
      mountPath: z.literal('/app/config/config.yaml'),
      subPath: z.literal('config.yaml'),
      readOnly: z.literal(true),
    }),
    z.strictObject({ name: z.literal('state'), mountPath: z.literal('/state') }),
  ]),
});

const POD = z.strictObject({
  automountServiceAccountToken: z.literal(false),
  enableServiceLinks: z.literal(false),
  terminationGracePeriodSeconds: z.literal(60),
  securityContext: z.strictObject({
    runAsNonRoot: z.literal(true),
    runAsUser: z.literal(1000),
    runAsGroup: z.literal(1000),
    fsGroup: z.literal(1000),
    fsGroupChangePolicy: z.literal('OnRootMismatch'),
    seccompProfile: z.strictObject({ type: z.literal('RuntimeDefault') }),
  }),
  containers: z.tuple([CONTAINER]),
  volumes: z.tuple([
    z.strictObject({
      name: z.literal('config'),
      configMap: z.strictObject({ name: z.literal('lxc-autoscaler-config') }),
    }),
    z.strictObject({
      name: z.literal('state'),
      persistentVolumeClaim: z.strictObject({ claimName: z.literal('lxc-autoscaler-state') }),
    }),
  ]),
});

const KUBERNETES = {
  'configmap.yaml': z.strictObject({
    apiVersion: z.literal('v1'),
    kind: z.literal('ConfigMap'),
    metadata: named('lxc-autoscaler-config'),
    data: z.strictObject({ 'config.yaml': z.string() }),
  }),
  'secret.yaml': z.strictObject({
    apiVersion: z.literal('v1'),
    kind: z.literal('Secret'),
    type: z.literal('Opaque'),
    metadata: named('lxc-autoscaler-tokens'),
    stringData: z.strictObject({ PVE1_TOKEN: z.string() }),
  }),
  'state.yaml': z.strictObject({
    apiVersion: z.literal('v1'),
    kind: z.literal('PersistentVolumeClaim'),
    metadata: named('lxc-autoscaler-state'),
    spec: z.strictObject({
      accessModes: z.tuple([z.literal('ReadWriteOnce')]),
      resources: z.strictObject({ requests: z.strictObject({ storage: z.string() }) }),
    }),
  }),
  'deployment.yaml': z.strictObject({
    apiVersion: z.literal('apps/v1'),
    kind: z.literal('Deployment'),
    metadata: named('lxc-autoscaler'),
    spec: z.strictObject({
      replicas: z.literal(1),
      strategy: z.strictObject({ type: z.literal('Recreate') }),
      selector: z.strictObject({ matchLabels: APP }),
      template: z.strictObject({ metadata: z.strictObject({ labels: APP }), spec: POD }),
    }),
  }),
};

describe('the files below deploy/', () => {
  it.each([
    ['docker-compose.yml', COMPOSE_FILE],
    ['docker-stack.yml', STACK_FILE],
    ...Object.entries(KUBERNETES).map(([name, form]) => [`kubernetes/${name}`, form] as const),
  ] as const)('%s has the right form, and no key besides', (name, form) => {
    expect(form.safeParse(yaml(name)).error?.issues ?? []).toEqual([]);
  });

  it('kubectl is told of each file', () => {
    const { resources } = yaml('kubernetes/kustomization.yaml') as { resources: string[] };
    expect([...resources].sort()).toEqual(Object.keys(KUBERNETES).sort());
  });

  it('the configuration is valid, observes, and is the same in Kubernetes', () => {
    const loaded = parseConfig(read('config.yaml'), 'config.yaml', { PVE1_TOKEN: '00000000' });
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    expect(loaded.config.nodes).toMatchObject([{ name: 'pve1', connection: 'api' }]);
    expect(loaded.config.defaults.scaling).toBe('observe');
    const { data } = KUBERNETES['configmap.yaml'].parse(yaml('kubernetes/configmap.yaml'));
    expect(load(data['config.yaml'])).toEqual(yaml('config.yaml'));
  });

  it('the image has what the build makes, and its commands are of this program', () => {
    const lines = read('Dockerfile').replaceAll(/\\\n/g, ' ');
    const copied = [...lines.matchAll(/dist\/(\S+)/g)].map(([, name]) => name);
    const bundles = ['*.cjs', '-web.html'];
    expect(copied).toEqual(bundles.map((ending) => `lxc-autoscale${ending}`));
    const health: unknown = JSON.parse(/HEALTHCHECK [^[]*CMD (\[.*\])/.exec(lines)?.[1] ?? '');
    expect(HEALTH.safeParse(['CMD', ...(health as string[])]).success).toBe(true);
    expect(isCommand(JSON.parse(/^CMD (\[.*\])/m.exec(lines)?.[1] ?? ''))).toBe(true);
    expect(lines).toMatch(/^USER 1000:1000\nVOLUME \/state$/m);
  });
});
