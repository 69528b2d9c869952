/** The file system of the node: `/`, or what `--sysroot` names. */
export interface Sysroot {
  readonly sysroot: string;
  /** Puts an absolute path (of the configuration) under the prefix. `..` never leads out of it. */
  at(absolutePath: string): string;
}
