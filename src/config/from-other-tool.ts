import { type Draft, finished } from './foreign-draft.ts';
import { type KindOf, toolOf } from './foreign-file.ts';
import { ForeignKeys, ForeignReport } from './foreign-keys.ts';
import { fromLxcAutoscaler } from './from-lxc-autoscaler.ts';
import { fromVmAutoscale } from './from-vm-autoscale.ts';
import type { Migrated, Whereabouts } from './migrated.ts';
import type { OldFile } from './old-file.ts';
import type { Environment } from './variables.ts';

/** Files of other tools, of which the whole form is another one. */

type Converter = (file: ForeignKeys, where: Whereabouts) => Draft;

const CONVERTERS: Readonly<Record<string, Converter>> = {
  'lxc-autoscaler': fromLxcAutoscaler,
  'Proxmox VM Autoscale': fromVmAutoscale,
};

interface Around {
  readonly shownFile: string;
  readonly env: Environment;
  readonly where: Whereabouts;
}

/** What comes of it, be it a refusal; undefined if it is no file of a tool that is known here. */
export function fromOtherTool(
  file: OldFile,
  kindOf: KindOf,
  { shownFile, env, where }: Around,
): Migrated | undefined {
  const convert = file.form === 'YAML' ? CONVERTERS[toolOf(file, kindOf)?.tool ?? ''] : undefined;
  if (convert === undefined) return undefined;
  const report = new ForeignReport(env);
  const sections = file.sections.map(({ name, line, entries }) => ({
    key: name,
    line,
    value: { kind: 'map', line, entries } as const,
  }));
  const entries = [...sections, ...file.loose].sort((a, b) => a.line - b.line);
  const keys = new ForeignKeys(report, '', entries[0]?.line ?? 1, entries);
  return finished(convert(keys, where), report, shownFile, where);
}
