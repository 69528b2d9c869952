import { closest } from './suggest.ts';

/**
 * What applications that people run at home need, as values for a tier: `preset: nextcloud`. A
 * minimum is what the application needs to start and to answer, so it raises nobody.
 */

/** As they stand in the file, in its units. */
export interface PresetValues {
  readonly min_cores?: number;
  readonly min_memory?: number;
  readonly behaviour?: 'conservative';
  readonly cpu_upper_threshold?: number;
  readonly memory_upper_threshold?: number;
  readonly start_grace_seconds?: number;
  readonly priority?: number;
}

export interface Preset {
  /** Why these values, for an admin; one sentence without its full stop. */
  readonly because: string;
  readonly values: PresetValues;
  /** Further names by which a container tells what it runs. */
  readonly also?: readonly string[];
}

export const PRESETS = {
  adguard: {
    because: 'Its filter lists lie in memory, and the whole network waits for its answers',
    values: { min_memory: 256, priority: 80 },
    also: ['adguardhome'],
  },
  authentik: {
    because: 'Its workers load all of the program at the start, and nobody can log in meanwhile',
    values: { min_memory: 2048, start_grace_seconds: 1200, priority: 70 },
    also: ['keycloak', 'authelia'],
  },
  caddy: {
    because: 'It is small, and everything behind it waits for it',
    values: { min_memory: 128, priority: 70 },
  },
  docker: {
    because:
      'The needs of the containers in it add up, and after an update all of them start at once',
    values: { min_memory: 1024, memory_upper_threshold: 75, start_grace_seconds: 1200 },
    also: ['portainer', 'dockge', 'podman'],
  },
  elasticsearch: {
    because:
      'The heap of its Java machine has a fixed size, and its speed is the file cache beside it',
    values: { min_memory: 2048, behaviour: 'conservative', start_grace_seconds: 1800 },
    also: ['opensearch', 'graylog', 'wazuh'],
  },
  emby: {
    because: 'Converting a film takes all cores at once and ends with the film',
    values: { min_cores: 2, min_memory: 1024, cpu_upper_threshold: 70 },
  },
  esphome: {
    because: 'It rests for days, and then a compiler takes hundreds of MB at once',
    values: { min_memory: 1024, memory_upper_threshold: 70 },
  },
  forgejo: {
    because: 'It is small until somebody clones or pushes a large repository',
    values: { min_memory: 512 },
    also: ['gitea'],
  },
  frigate: {
    because: 'Each camera keeps its share of the cores and of shared memory busy all day',
    values: { min_cores: 2, min_memory: 2048, behaviour: 'conservative', priority: 70 },
  },
  gitlab: {
    because: 'It is a dozen services, which take minutes to start and end if one of them is killed',
    values: {
      min_cores: 2,
      min_memory: 4096,
      behaviour: 'conservative',
      start_grace_seconds: 1800,
    },
  },
  grafana: {
    because: 'It is small until a dashboard asks for a year of data',
    values: { min_memory: 256 },
  },
  'home-assistant': {
    because: 'Lights and heating wait for it, and a new integration takes more for good',
    values: { min_memory: 1024, behaviour: 'conservative', priority: 80 },
    also: ['homeassistant', 'hass', 'haos'],
  },
  immich: {
    because: 'It loads models of 1 GB and more as soon as photos arrive, and drops them later',
    values: { min_cores: 2, min_memory: 4096, behaviour: 'conservative' },
  },
  influxdb: {
    because: 'It sorts what it writes in memory, and a query over a year takes a multiple of that',
    values: { min_memory: 512, behaviour: 'conservative', memory_upper_threshold: 70 },
  },
  jellyfin: {
    because: 'Converting a film takes all cores at once and ends with the film',
    values: { min_cores: 2, min_memory: 1024, cpu_upper_threshold: 70 },
  },
  mariadb: {
    because: 'Its buffer pool is what it is fast by, and a kill means recovery',
    values: { min_memory: 512, behaviour: 'conservative', priority: 70 },
    also: ['mysql'],
  },
  minecraft: {
    because: 'The heap of its Java machine has a fixed size, and players feel every missing core',
    values: {
      min_cores: 2,
      min_memory: 2048,
      behaviour: 'conservative',
      cpu_upper_threshold: 70,
    },
    also: ['papermc', 'crafty', 'pterodactyl'],
  },
  mongodb: {
    because: 'It takes its cache by the limit at its start, and a kill means recovery',
    values: { min_memory: 1024, behaviour: 'conservative', priority: 70 },
  },
  mosquitto: {
    because: 'It is small, and every device in the house waits for it',
    values: { min_memory: 128, priority: 80 },
    also: ['mqtt', 'emqx'],
  },
  nextcloud: {
    because: 'An upload with its previews starts many PHP processes, which want memory at once',
    values: { min_cores: 2, min_memory: 1024, behaviour: 'conservative' },
    also: ['owncloud'],
  },
  'nginx-proxy-manager': {
    because: 'It rests on little, and everything behind it waits for it',
    values: { min_memory: 512, priority: 70 },
    also: ['nginxproxymanager', 'npm', 'nginx'],
  },
  'node-red': {
    because: 'Its heap grows with each flow that is added, and lights wait for it',
    values: { min_memory: 512, priority: 70 },
    also: ['nodered'],
  },
  paperless: {
    because: 'Reading the text of a scan takes a core and some hundred MB for each page at work',
    values: { min_cores: 2, min_memory: 1024, memory_upper_threshold: 70 },
    also: ['paperless-ngx'],
  },
  photoprism: {
    because: 'Indexing photos takes all cores and 1 GB beyond what it needs otherwise',
    values: { min_cores: 2, min_memory: 2048, memory_upper_threshold: 70 },
  },
  pihole: {
    because: 'Its filter lists lie in memory, and the whole network waits for its answers',
    values: { min_memory: 256, priority: 80 },
    also: ['pi-hole'],
  },
  plex: {
    because: 'Converting a film takes all cores at once and ends with the film',
    values: { min_cores: 2, min_memory: 1024, cpu_upper_threshold: 70 },
    also: ['plexmediaserver'],
  },
  postgres: {
    because: 'Shared buffers and file cache are what it is fast by, and a kill means recovery',
    values: { min_memory: 512, behaviour: 'conservative', priority: 70 },
    also: ['postgresql', 'timescaledb'],
  },
  prometheus: {
    because: 'The last hours lie in memory, and compaction and a start take up to twice that',
    values: { min_memory: 1024, behaviour: 'conservative', memory_upper_threshold: 70 },
    also: ['victoriametrics'],
  },
  qbittorrent: {
    because: 'Its memory is file cache for the most part, and can wait',
    values: { min_memory: 512, priority: 30 },
    also: ['transmission', 'deluge', 'sabnzbd', 'nzbget'],
  },
  radarr: {
    because: 'It rests most of the day, and a search over the library is brief',
    values: { min_memory: 512, priority: 40 },
    also: ['prowlarr', 'bazarr', 'overseerr', 'jellyseerr'],
  },
  redis: {
    because: 'All data lie in memory, and a snapshot may take as much again',
    values: { min_memory: 256, behaviour: 'conservative', memory_upper_threshold: 50 },
    also: ['valkey'],
  },
  samba: {
    because: 'Its memory is file cache for the most part, and each client takes a process more',
    values: { min_memory: 256 },
    also: ['fileserver', 'cockpit'],
  },
  sonarr: {
    because: 'It rests most of the day, and a search over the library is brief',
    values: { min_memory: 512, priority: 40 },
    also: ['lidarr', 'readarr'],
  },
  syncthing: {
    because: 'Its index grows with the number of files, and a scan takes a core',
    values: { min_memory: 512 },
  },
  traefik: {
    because: 'It is small, and everything behind it waits for it',
    values: { min_memory: 256, priority: 70 },
  },
  unbound: {
    because: 'Its cache is small, and the whole network waits for its answers',
    values: { min_memory: 128, priority: 80 },
    also: ['bind9', 'technitium', 'technitiumdns'],
  },
  unifi: {
    because: 'It is a Java machine and a MongoDB in one, and takes minutes to start',
    values: { min_memory: 1024, behaviour: 'conservative', start_grace_seconds: 1800 },
    also: ['omada'],
  },
  'uptime-kuma': {
    because: 'It watches the others, so it must not be the one that is short',
    values: { min_memory: 256, priority: 70 },
    also: ['uptimekuma'],
  },
  vaultwarden: {
    because: 'It needs little, and nobody gets at a password without it',
    values: { min_memory: 256, priority: 70 },
    also: ['bitwarden'],
  },
  zigbee2mqtt: {
    because: 'It needs little, and lights and sensors wait for it',
    values: { min_memory: 256, priority: 80 },
  },
} as const satisfies Readonly<Record<string, Preset>>;

export type PresetName = keyof typeof PRESETS;

export const PRESET_NAMES = Object.keys(PRESETS) as [PresetName, ...PresetName[]];

export const presetOf = (name: PresetName): Preset => PRESETS[name];

/** What one of its tags says of a container that the community scripts have made. */
const KINDS: Readonly<Record<string, PresetName>> = {
  adblock: 'adguard',
  arr: 'sonarr',
  authenticator: 'authentik',
  cloud: 'nextcloud',
  database: 'postgres',
  docker: 'docker',
  media: 'jellyfin',
  mqtt: 'mosquitto',
  nvr: 'frigate',
  proxy: 'nginx-proxy-manager',
  torrent: 'qbittorrent',
};

const SCRIPT_TAG = 'community-script';

/** What a preset is called, and what else its application is known by. */
const namesOf = (preset: PresetName): readonly string[] => [
  preset,
  ...(presetOf(preset).also ?? []),
];

/** What a container tells of itself. Untrusted text. */
export interface Told {
  readonly name: string;
  readonly tags: readonly string[];
}

export interface Suggested {
  readonly preset: PresetName;
  /** By what, as the end of a sentence. */
  readonly how: string;
}

/**
 * The preset for what a container most likely runs, by a tag, by its name (`ct-nextcloud-2`), or by
 * the kind that the community scripts have noted. undefined: nothing tells, or two tell different.
 */
export function suggestPreset({ name, tags }: Told): Suggested | undefined {
  const own = tags.map((tag) => tag.toLowerCase());
  const byTag = PRESET_NAMES.filter((preset) => namesOf(preset).some((one) => own.includes(one)));
  if (byTag.length > 0) return only(byTag, 'as its tag says');
  const words = `-${name.toLowerCase().replace(/[^a-z0-9]+/g, '-')}-`;
  const byName = PRESET_NAMES.filter((preset) =>
    namesOf(preset).some((one) => words.includes(`-${one}-`)),
  );
  if (byName.length > 0) return only(byName, 'as its name says');
  if (!own.includes(SCRIPT_TAG)) return undefined;
  const kinds = own.filter((tag) => Object.hasOwn(KINDS, tag));
  const byKind = kinds.flatMap((tag) => KINDS[tag] ?? []);
  return only(byKind, `as its tags ${SCRIPT_TAG} and ${kinds.join(', ')} say`);
}

const only = (presets: readonly PresetName[], how: string): Suggested | undefined => {
  const [preset, ...others] = new Set(presets);
  return preset === undefined || others.length > 0 ? undefined : { preset, how };
};

const MOST_NEAR = 3;
const LEAST_PART = 3;

/** The presets that a word most likely stood for, the nearest first. */
export function nearPresets(word: string): readonly PresetName[] {
  const text = word.trim().toLowerCase();
  const alike = closest(text, PRESET_NAMES.flatMap(namesOf));
  const within = (one: string): boolean =>
    text.length >= LEAST_PART && (one.includes(text) || text.includes(one));
  const near = [
    ...PRESET_NAMES.filter((preset) => namesOf(preset).some((one) => one === alike)),
    ...PRESET_NAMES.filter((preset) => namesOf(preset).some(within)),
  ];
  return [...new Set(near)].slice(0, MOST_NEAR);
}
