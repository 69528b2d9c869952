/** Where the daemon answers: below a directory that only root may enter. */
export const CONTROL_SOCKET = '/run/lxc_autoscale/control.sock';

/** The kernel keeps the path of a Unix socket in 108 bytes, the last of which is a zero. */
export const MOST_PATH_BYTES = 107;
