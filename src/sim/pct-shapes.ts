import type { CommandShape, ParameterRule } from './command-line.ts';
import { settingRule } from './guest-conf.ts';

/** Which arguments and options each `pct` command takes. */

const text: ParameterRule = { type: 'string' };
const flag: ParameterRule = { type: 'boolean' };
const seconds: ParameterRule = { type: 'integer', min: 0 };

const oneOf =
  (rules: Readonly<Record<string, ParameterRule>>) =>
  (name: string): ParameterRule | undefined =>
    Object.hasOwn(rules, name) ? rules[name] : undefined;

const setOptions = oneOf({ delete: text, digest: text, force: flag, revert: text });
/** Written by Proxmox itself, not settable. */
const NOT_SETTABLE = new Set(['parent', 'snaptime']);

/** Options of `pct set`: its own, and every setting of a container. */
export const setOption = (name: string): ParameterRule | undefined =>
  setOptions(name) ?? (NOT_SETTABLE.has(name) ? undefined : settingRule(name));

const OPTIONS: Readonly<Record<string, (name: string) => ParameterRule | undefined>> = {
  clone: oneOf({
    description: text,
    full: flag,
    hostname: text,
    pool: text,
    snapname: text,
    storage: text,
    target: text,
  }),
  config: oneOf({ current: flag, snapshot: text }),
  delsnapshot: oneOf({ force: flag }),
  destroy: oneOf({ force: flag, purge: flag, 'destroy-unreferenced-disks': flag }),
  exec: oneOf({ 'keep-env': flag }),
  reboot: oneOf({ timeout: seconds }),
  resize: oneOf({ digest: text }),
  rollback: oneOf({ start: flag }),
  set: setOption,
  shutdown: oneOf({ forceStop: flag, timeout: seconds }),
  snapshot: oneOf({ description: text }),
  start: oneOf({ debug: flag, skiplock: flag }),
  status: oneOf({ verbose: flag }),
  stop: oneOf({ 'overrule-shutdown': flag, skiplock: flag }),
};

/** The list that `pct` prints when it does not know a command. */
export const PCT_USAGE = `USAGE: pct <COMMAND> [ARGS] [OPTIONS]

       pct clone <vmid> <newid> [OPTIONS]
       pct create <vmid> <ostemplate> [OPTIONS]
       pct destroy <vmid> [OPTIONS]
       pct list 
       pct migrate <vmid> <target> [OPTIONS]
       pct move-volume <vmid> <volume> [<storage>] [<target-vmid>] [<target-volume>] [OPTIONS]
       pct pending <vmid>
       pct resize <vmid> <disk> <size> [OPTIONS]
       pct restore <vmid> <ostemplate> [OPTIONS]
       pct template <vmid>

       pct config <vmid> [OPTIONS]
       pct set <vmid> [OPTIONS]

       pct delsnapshot <vmid> <snapname> [OPTIONS]
       pct listsnapshot <vmid>
       pct rollback <vmid> <snapname> [OPTIONS]
       pct snapshot <vmid> <snapname> [OPTIONS]

       pct reboot <vmid> [OPTIONS]
       pct resume <vmid>
       pct shutdown <vmid> [OPTIONS]
       pct start <vmid> [OPTIONS]
       pct stop <vmid> [OPTIONS]
       pct suspend <vmid>

       pct console <vmid> [OPTIONS]
       pct cpusets 
       pct df <vmid>
       pct enter <vmid> [OPTIONS]
       pct exec <vmid> [<extra-args>] [OPTIONS]
       pct fsck <vmid> [OPTIONS]
       pct fstrim <vmid> [OPTIONS]
       pct mount <vmid>
       pct pull <vmid> <path> <destination> [OPTIONS]
       pct push <vmid> <file> <destination> [OPTIONS]
       pct remote-migrate <vmid> [<target-vmid>] <target-endpoint> --target-bridge <string> \
--target-storage <string> [OPTIONS]
       pct rescan  [OPTIONS]
       pct status <vmid> [OPTIONS]
       pct unlock <vmid>
       pct unmount <vmid>

       pct help [<extra-args>] [OPTIONS]
`;

const none = (): undefined => undefined;

/** The shape of a command by its line in the list above, or undefined when there is none. */
export function pctShape(command: string): CommandShape | undefined {
  if (!/^[a-z-]+$/.test(command)) return undefined;
  const line = new RegExp(`^ +(pct ${command}(?: .*)?)$`, 'm').exec(PCT_USAGE)?.[1];
  if (line === undefined) return undefined;
  const args = [...line.matchAll(/ <([\w-]+)>/g)].map((match) => match[1] ?? '');
  const options = Object.hasOwn(OPTIONS, command) ? OPTIONS[command] : undefined;
  return { args, options: options ?? none, usage: line.trim(), extra: command === 'exec' };
}
