import { readFileSync } from 'node:fs';

/** Forms of `/etc/pve/qemu-server/VMID.conf` as they are found on nodes, by what is in them. */

const file = readFileSync(new URL('machine-forms.txt', import.meta.url), 'utf8');

const DOS = 'cores: 2\r\nmemory: 2048\r\nname: dos\r\nscsi0: a:b';

export const FORMS: ReadonlyMap<string, string> = new Map([
  ...file
    .split(/^=== /m)
    .slice(1)
    .map((part): [string, string] => {
      const end = part.indexOf('\n');
      return [part.slice(0, end), part.slice(end + 1)];
    }),
  ['carriage returns, and no newline at the end', DOS],
]);

export function form(name: string): string {
  const text = FORMS.get(name);
  if (text === undefined) throw new Error(`there is no form ${name}`);
  return text;
}
