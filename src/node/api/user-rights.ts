/** What a user of Proxmox VE may do, by what `GET /access/permissions` answers. */

/** Whether it holds a privilege on a path, and on all below it that has no rules of its own. */
const everywhere = (permissions: unknown, path: string, privilege: string): boolean =>
  Number(Object(Object(permissions)[path])[privilege]) === 1;

/**
 * Whether it holds a privilege on a path and on all that is below, and nowhere less on a path that
 * has rules of its own. A guest on which it may do nothing at all is not in the answer.
 */
export const mayBelow = (
  permissions: unknown,
  path: '/vms' | '/nodes' | '/storage',
  privilege: string,
): boolean =>
  everywhere(permissions, path, privilege) &&
  Object.entries(Object(permissions)).every(
    ([one, held]) => !one.startsWith(`${path}/`) || Object.hasOwn(Object(held), privilege),
  );

/** Whether it holds a privilege on the whole data centre. */
export const mayOnAll = (permissions: unknown, privilege: string): boolean =>
  everywhere(permissions, '/', privilege);
