/** What a token or user needs to scale guests by the API, and the commands that give it. */

/** The role that holds the privileges. */
export const ROLE = 'LxcAutoscale';

/** On guests and on nodes. */
export const LOOKS = { guests: 'VM.Audit', nodes: 'Sys.Audit' } as const;
const LIMITS = ['VM.Config.CPU', 'VM.Config.Memory'] as const;

export const LEAST_PRIVILEGES: readonly string[] = [LOOKS.guests, ...LIMITS, LOOKS.nodes];

/** On guests, besides looking: groups and clones are made, started, stopped and destroyed too. */
export const SCALES = [...LIMITS, 'VM.Allocate', 'VM.Clone', 'VM.PowerMgmt', 'VM.Snapshot'];

/** On storages, since members and clones get disks of their own. */
export const SCALES_ON_STORAGES = 'Datastore.AllocateSpace';

/** Besides: on guests, and on the data centre with all of its nodes. */
export const RULES = { guests: ['VM.Config.Disk', 'VM.Snapshot.Rollback'], all: 'Sys.Modify' };

/** The command by which an administrator grants what is needed. */
export function grantCommand(path: string, asker: string): string {
  const whom = asker.includes('!') ? `--tokens '${asker}'` : `--users '${asker}'`;
  return `pveum acl modify ${path} ${whom} --roles ${ROLE}`;
}

/** A privilege that not everybody needs, such as that for `write_notes`. */
export const appendCommand = (privilege: string): string =>
  `pveum role modify ${ROLE} --privs ${privilege} --append 1`;

/** Makes a user, and a token of it that may do no more than the role. */
export const setupCommands = (user: string, token: string): readonly string[] => [
  `pveum role add ${ROLE} --privs '${LEAST_PRIVILEGES.join(' ')}'`,
  `pveum user add '${user}'`,
  // A token with privileges of its own never has more than its user.
  grantCommand('/', user),
  `pveum user token add '${user}' ${token} --privsep 1`,
  grantCommand('/', `${user}!${token}`),
];
