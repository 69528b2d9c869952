import { type Answer, type Arguments, answer, failure, isTrue } from './command-line.ts';
import { descriptionLines, digestOf } from './guest-conf.ts';
import { grownDisk, keepUnused, resizedWords, whyNoRollback } from './pct-snapshots.ts';
import type { VmContext } from './qm-context.ts';
import { parseVmConf, rows, type VmConf } from './vm-conf.ts';

/** Snapshots, disks and clones of virtual machines. Not recorded: by what `pct` was seen to do. */

type Work = (context: VmContext, args: Arguments, conf: VmConf) => Answer;

const sectionOf = ({ rest }: VmConf, name: string): string | undefined =>
  rest.split(/^(?=\[)/m).find((text) => text.startsWith(`[${name}]\n`));

const snapshotOf = (section: string): VmConf =>
  parseVmConf(section.slice(section.indexOf('\n') + 1));

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
  const parent = snapshotOf(section).main.get('parent');
  if (parent !== undefined) conf.main.set('parent', parent);
  else if (conf.main.get('parent') === name) conf.main.delete('parent');
  return save(context, vmid, { ...conf, rest: withoutSection(conf.rest, name) });
};

const rollback: Work = (context, { vmid, values, options }, conf) => {
  const name = values[1] ?? '';
  const section = sectionOf(conf, name);
  const then = section === undefined ? undefined : snapshotOf(section);
  const no = whyNoRollback(name, conf.main, then?.main);
  if (then === undefined || no !== undefined) return failure(255, `${no}\n`);
  const lock = conf.main.get('lock');
  if (lock !== undefined) return failure(255, `VM is locked (${lock})\n`);
  const { vms } = context.machine;
  vms.stop(vmid);
  const { main } = then;
  keepUnused(conf.main, main);
  main.delete('snaptime');
  main.set('parent', name);
  save(context, vmid, { ...conf, main, pending: new Map() });
  if (isTrue(options.get('start'))) vms.start(vmid);
  return answer('');
};

/** Source: `resize_vm` of PVE::API2::Qemu. What is at that size already is no mistake there. */
const resize: Work = (context, { vmid, values, options }, conf) => {
  const [, disk = '', size = ''] = values;
  const digest = options.get('digest');
  if (digest !== undefined && digest !== digestOf(context.machine.files.readVm(vmid) ?? '')) {
    return failure(255, 'checksum mismatch (file change by other user?)\n');
  }
  const lock = conf.main.get('lock');
  if (lock !== undefined) return failure(255, `VM is locked (${lock})\n`);
  const value = conf.main.get(disk);
  if (value === undefined) return failure(255, `disk '${disk}' does not exist\n`);
  if (/(?:^|,)media=cdrom(?:,|$)/.test(value)) return failure(255, "you can't resize a cdrom\n");
  const grown = grownDisk(value, size);
  if (grown === undefined) return failure(255, `Could not determine current size of ${disk}\n`);
  if (grown.toGib < grown.fromGib) return failure(255, 'shrinking disks is not supported\n');
  if (grown.toGib === grown.fromGib) return answer('');
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
  const name = options.get('snapname');
  const section = name === undefined ? undefined : sectionOf(conf, name);
  if (name !== undefined && section === undefined) {
    return failure(255, `snapshot '${name}' does not exist\n`);
  }
  const from = section === undefined ? conf : snapshotOf(section);
  const drawn = newid.toString(16).padStart(12, '0');
  const main = new Map(
    [...from.main].map(([key, value]) => [
      key,
      value
        .replace(/uuid=[0-9a-f-]+/, `uuid=00000000-0000-4000-8000-${drawn}`)
        .replace(/((?:virtio|e1000|hwaddr)=)[0-9A-F:]+/, `$1${addressOf(drawn)}`)
        .replaceAll(`vm-${vmid}-`, `vm-${newid}-`),
    ]),
  );
  for (const key of ['lock', 'parent', 'snaptime', 'template']) main.delete(key);
  for (const key of [...main.keys()]) if (/^unused\d+$/.test(key)) main.delete(key);
  main.set('name', options.get('name') ?? `Copy-of-VM-${from.main.get('name') ?? vmid}`);
  const about = options.get('description');
  const description =
    about === undefined
      ? from.description
      : descriptionLines(about, context.utf8).map((line) => `#${line}`);
  save(context, newid, { description, main, pending: new Map(), rest: '' });
  return answer(`creating a clone of VM ${vmid} with ID ${newid}\n`);
};

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
