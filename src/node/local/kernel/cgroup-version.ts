import type { Paths } from '../paths.ts';

export type CgroupVersion =
  | { readonly ok: true }
  /** A sentence that says what is the matter and what to do. */
  | { readonly ok: false; readonly message: string };

/** Whether the node runs on cgroup v2, the only one from which this program can read. */
export function cgroupVersion(paths: Paths): CgroupVersion {
  const root = paths.cgroupRoot;
  const names = namesIn(paths);
  if (names.includes('cgroup.controllers')) return { ok: true };
  if (names.includes('memory') || names.includes('unified')) {
    return {
      ok: false,
      message:
        `This node was booted with cgroup v1 (${root}/cgroup.controllers is missing), which is ` +
        'not supported. Take systemd.unified_cgroup_hierarchy=0 out of the kernel command line ' +
        'and reboot: cgroup v2 is the default since Proxmox VE 7.',
    };
  }
  return {
    ok: false,
    message: `There are no control groups at ${root}: this is not a running Proxmox VE node.`,
  };
}

function namesIn({ cgroupRoot, files }: Paths): readonly string[] {
  try {
    return files.names(cgroupRoot);
  } catch {
    return [];
  }
}
