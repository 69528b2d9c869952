/** Which storages can take a snapshot of a running container. */

/** Those of Proxmox VE 8 and 9 that have none for containers. Others are tried. */
const WITHOUT = new Set([
  'dir',
  'nfs',
  'cifs',
  'glusterfs',
  'cephfs',
  'lvm',
  'iscsi',
  'iscsidirect',
]);

/** What helps if there are none. */
export const WITHOUT_SNAPSHOTS =
  'what works there: a template as the source, a source that is stopped, ' +
  'or all its volumes on ZFS, LVM-thin, RBD or Btrfs';

/**
 * Why a container cannot be given a snapshot, as `its storage local (dir) has no snapshots`;
 * undefined: it can, or it is not known.
 *
 * @param storages of its volumes, and the paths of the host that it mounts
 * @param types by the name of a storage
 */
export function snapshotHindrance(
  storages: readonly string[],
  types: ReadonlyMap<string, string>,
): string | undefined {
  for (const storage of storages) {
    if (storage.startsWith('/')) return `a mount of the host's ${storage} keeps it from snapshots`;
    const type = types.get(storage);
    if (type !== undefined && WITHOUT.has(type)) {
      return `its storage ${storage} (${type}) has no snapshots of containers`;
    }
  }
  return undefined;
}
