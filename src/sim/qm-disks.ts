import { type Answer, type Arguments, answer, failure, isTrue } from './command-line.ts';
import { digestOf } from './guest-conf.ts';
import { grownDisk, resizedWords } from './pct-snapshots.ts';
import type { VmContext } from './qm-context.ts';
import { parseVmConf, rows, type VmConf } from './vm-conf.ts';

/** Snapshots, disks and clones of virtual machines. Not recorded: by what `pct` was seen to do. */

type Work = (context: VmContext, args: Arguments, conf: VmConf) => Answer;

const sectionOf = ({ rest }: VmConf, name: string): string | undefined =>
  rest.split(/^(?=\[)/m).find((text) => text.startsWith(`[${name}]\n`));

const withoutSection = (rest: string, name: string): string =>
  rest
    .split(/^(?=\[)/m)
    .filter((text) => !text.startsWith(`[${name}]\n`))
    .join('');

const save = ({ machine }: VmContext, vmid: number, conf: VmConf): Answer => {
  machine.vms.save(vmid, conf);
  return answer('');
};

const snapshot: Work = (context, { vmid, values }, conf) => {
  const name = values[1] ?? '';
  if (sectionOf(conf, name) !== undefined) {
    return failure(255, `snapshot name '${name}' already used\n`);
  }
  const section = new Map([...conf.main, ['snaptime', `${context.machine.wallS}`]]);
  const before = conf.rest === '' ? '' : `${conf.rest.replace(/\n*$/, '')}\n\n`;
  conf.main.set('parent', name);
  return save(context, vmid, { ...conf, rest: `${before}[${name}]\n${rows(section)}` });
};

const delsnapshot: Work = (context, { vmid, values }, conf) => {
  const name = values[1] ?? '';
  const section = sectionOf(conf, name);
  if (section === undefined) return failure(255, `snapshot '${name}' does not exist\n`);
  const parent = parseVmConf(section.slice(section.indexOf('\n') + 1)).main.get('parent');
  if (parent !== undefined) conf.main.set('parent', parent);
  else if (conf.main.get('parent') === name) conf.main.delete('parent');
  return save(context, vmid, { ...conf, rest: withoutSection(conf.rest, name) });
};

const rollback: Work = (context, { vmid, values, options }, conf) => {
  const name = values[1] ?? '';
  const section = sectionOf(conf, name);
  if (section === undefined) return failure(255, `snapshot '${name}' does not exist\n`);
  const { vms } = context.machine;
  vms.stop(vmid);
  const { main } = parseVmConf(section.slice(section.indexOf('\n') + 1));
  main.delete('snaptime');
  main.set('parent', name);
  save(context, vmid, { ...conf, main, pending: new Map() });
  if (isTrue(options.get('start'))) vms.start(vmid);
  return answer('');
};

const resize: Work = (context, { vmid, values, options }, conf) => {
  const [, disk = '', size = ''] = values;
  const digest = options.get('digest');
  if (digest !== undefined && digest !== digestOf(context.machine.files.readVm(vmid) ?? '')) {
    return failure(255, 'checksum mismatch (file change by other user?)\n');
  }
  const grown = grownDisk(conf.main.get(disk), size);
  if (grown === undefined) return failure(255, `no such disk '${disk}'\n`);
  conf.main.set(disk, grown.value);
  save(context, vmid, conf);
  return answer(resizedWords(`vm-${vmid}-disk-0`, grown));
};

/** Addresses and ids are drawn anew. */
const clone: Work = (context, { vmid, values, options }, conf) => {
  const newid = Number(values[1]);
  const { files } = context.machine;
  if (files.takenIds().has(newid)) {
    return failure(255, `unable to create VM ${newid}: config file already exists\n`);
  }
  const drawn = newid.toString(16).padStart(12, '0');
  const main = new Map(
    [...conf.main].map(([key, value]) => [
      key,
      value
        .replace(/uuid=[0-9a-f-]+/, `uuid=00000000-0000-4000-8000-${drawn}`)
        .replace(/((?:virtio|e1000|hwaddr)=)[0-9A-F:]+/, `$1${addressOf(drawn)}`)
        .replaceAll(`vm-${vmid}-`, `vm-${newid}-`),
    ]),
  );
  for (const key of ['lock', 'parent', 'snaptime', 'template']) main.delete(key);
  main.set('name', options.get('name') ?? `Copy-of-VM-${vmid}`);
  const about = (options.get('description') ?? '').split('\n').map((line) => `#${escaped(line)}`);
  return save(context, newid, { description: about, main, pending: new Map(), rest: '' });
};

const escaped = (line: string): string => line.replaceAll('%', '%25').replaceAll(':', '%3A');

const addressOf = (drawn: string): string =>
  (drawn.toUpperCase().match(/../g) ?? []).slice(-6).join(':');

const destroy: Work = (context, { vmid }) => {
  const { vms, files } = context.machine;
  if (vms.isUp(vmid)) return failure(255, `VM ${vmid} is running - destroy failed\n`);
  files.remove(vmid);
  return answer('');
};

const shutdown: Work = (context, { vmid }) => {
  context.machine.vms.stop(vmid);
  return answer('');
};

export const DISK_WORKS: Readonly<Record<string, Work>> = {
  clone,
  delsnapshot,
  destroy,
  resize,
  rollback,
  shutdown,
  snapshot,
};
