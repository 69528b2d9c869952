/** What a user of Proxmox VE may do, by what `GET /access/permissions` answers. */

/** Whether it holds a privilege for all that lies below a path. */
const everywhere = (permissions: unknown, path: string, privilege: string): boolean =>
  Number(Object(Object(permissions)[path])[privilege]) === 1;

/**
 * Whether it holds this privilege for all guests: on `/vms` and all that is below, and nowhere less
 * on a path that has rules of its own. A guest on which it may do nothing at all is not in the
 * answer.
 */
export const mayOnGuests = (permissions: unknown, privilege: string): boolean =>
  everywhere(permissions, '/vms', privilege) &&
  Object.entries(Object(permissions)).every(
    ([path, held]) => !path.startsWith('/vms/') || Object.hasOwn(Object(held), privilege),
  );

/** Whether it holds this privilege on the whole data centre, or on all nodes. */
export const mayOn = (permissions: unknown, path: '/' | '/nodes', privilege: string): boolean =>
  everywhere(permissions, path, privilege);
