/** What a token or user needs to scale guests by the API, and the commands that give it. */

/** The role that holds the privileges. */
export const ROLE = 'LxcAutoscale';

export const LEAST_PRIVILEGES = ['VM.Audit', 'VM.Config.CPU', 'VM.Config.Memory', 'Sys.Audit'];

/** The command by which an administrator grants what is needed. */
export function grantCommand(path: string, asker: string): string {
  const whom = asker.includes('!') ? `--tokens '${asker}'` : `--users '${asker}'`;
  return `pveum acl modify ${path} ${whom} --roles ${ROLE}`;
}

/** Makes a user, and a token of it that may do no more than the role. */
export const setupCommands = (user: string, token: string): readonly string[] => [
  `pveum role add ${ROLE} --privs '${LEAST_PRIVILEGES.join(' ')}'`,
  `pveum user add '${user}'`,
  // A token with privileges of its own never has more than its user.
  grantCommand('/', user),
  `pveum user token add '${user}' ${token} --privsep 1`,
  grantCommand('/', `${user}!${token}`),
];
