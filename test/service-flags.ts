import { readFileSync } from 'node:fs';

/** How the unit file starts Node: what is measured is what admins run. */
export interface ServiceStart {
  readonly flags: readonly string[];
  readonly allocator: Readonly<Record<string, string>>;
}

export function serviceStart(unitFile: string): ServiceStart {
  const unit = readFileSync(unitFile, 'utf8').replaceAll('\\\n', '');
  const flags = /^Environment="LXC_AUTOSCALE_NODE_FLAGS=([^"]+)"$/m.exec(unit)?.[1];
  const allocator = /^Environment=(MALLOC_.+)$/m.exec(unit)?.[1];
  if (flags === undefined || allocator === undefined) throw new Error(`${unitFile} is unlike`);
  const pairs = allocator.split(' ').map((pair) => pair.split('=') as [string, string]);
  return { flags: flags.split(/ +/), allocator: Object.fromEntries(pairs) };
}
