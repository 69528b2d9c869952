/** Why a command of the node failed, as far as anything is done about it. */
export type FailureWhy =
  /** Another operation has locked the guest (`lock:` of its configuration): nothing was begun. */
  | 'locked'
  /** The lock of its configuration file was not to be had in time. */
  | 'busy'
  /** Its configuration is no longer the one that the command was given the digest of. */
  | 'modified'
  /** There is no such guest on this node, or none any more. */
  | 'gone'
  /** The id is taken. */
  | 'exists'
  /** Whoever asks may not do this. */
  | 'denied'
  /** `/etc/pve` takes no changes, of no guest: the cluster has no quorum. */
  | 'no-quorum'
  /** The same, since the cluster file system does not answer. */
  | 'unreachable'
  /** Only its message says more. */
  | 'other';
