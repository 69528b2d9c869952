import type { PvestatdFigure } from '../../../core/pvestatd-memory.ts';
import { missing, present, type Reading } from '../../../core/reading.ts';
import {
  bytes,
  isMoment,
  milliseconds,
  parseVmid,
  secondsToMs,
  type Vmid,
} from '../../../core/units.ts';
import { createFileReader, type ReadSmallFile } from '../../../os/file-reader.ts';
import type { Clock } from '../../port.ts';
import type { Paths } from '../paths.ts';

/**
 * `/etc/pve/.rrd`: what the pvestatd of each node has last told of its guests. One line a guest,
 * as Proxmox VE 8 and 9 write it; newer forms only have more fields at the end:
 *
 *     pve2.3-vm/ID:uptime:name:status:template:ctime:cpus:cpu:maxmem:mem:maxdisk:disk:...
 *     pve-vm-9.0/ID:the same
 *
 * Source: `update_qemu_status` and `broadcast_rrd` of pve-manager.
 */

const GUEST = /^pve(?:2\.3-vm|-vm-[0-9]{1,3}\.[0-9]{1,3})\/([0-9]+)$/;
const WHOLE = /^(?:0|[1-9][0-9]{0,15})$/;
const STATUS = /^[a-z]{1,32}$/;

/**
 * Of the guests that are asked for, those that run, with what they use. A line in another form is
 * passed over. Of two lines of one guest, as while a cluster is upgraded, the later one counts.
 */
export function parseRrd(
  text: string,
  isAskedFor: (vmid: Vmid) => boolean,
): ReadonlyMap<Vmid, PvestatdFigure> {
  const found = new Map<Vmid, PvestatdFigure>();
  for (const line of text.split('\n')) {
    const [key = '', , , status = '', , time = '', , , maxmem = '', mem = ''] = line.split(':', 11);
    const vmid = parseVmid(GUEST.exec(key)?.[1] ?? '');
    if (vmid === undefined || !isAskedFor(vmid) || !STATUS.test(status)) continue;
    if (![time, maxmem, mem].every((value) => WHOLE.test(value))) continue;
    const wallMs = secondsToMs(Number(time));
    if (!isMoment(wallMs) || (found.get(vmid)?.wallMs ?? -1) >= wallMs) continue;
    const figure = { usedBytes: bytes(Number(mem)), maxBytes: bytes(Number(maxmem)), wallMs };
    found.set(vmid, { ...figure, isRunning: status === 'running' });
  }
  return found;
}

/** Some hundred bytes a guest, of all guests of a cluster. */
const LIMIT_BYTES = 8 * 1024 * 1024;
/** pvestatd tells every 10 s. Reading it costs many times as much as a plain file. */
const EVERY_MS = 30_000;
const NEVER_MS = milliseconds(Number.NEGATIVE_INFINITY);

/** What pvestatd has told, read when somebody needs it. */
export class PvestatdFigures {
  readonly #path: string;
  readonly #read: ReadSmallFile;
  readonly #clock: Clock;
  #readMs = NEVER_MS;
  #askedFor: ReadonlySet<Vmid> = new Set();
  #figures: Reading<ReadonlyMap<Vmid, PvestatdFigure>> = missing('first-sample', 'not read yet');

  constructor(paths: Paths, clock: Clock) {
    this.#path = paths.pveRrd;
    this.#read = createFileReader(LIMIT_BYTES, paths.files);
    this.#clock = clock;
  }

  /** Whether it is time to read the file anew, or to read it of others than before. */
  isDue(vmids: ReadonlySet<Vmid>): boolean {
    const isKnown = [...vmids].every((vmid) => this.#askedFor.has(vmid));
    const isRecent = this.#clock.monotonicMs() - this.#readMs < EVERY_MS;
    return vmids.size > 0 && !(isKnown && isRecent);
  }

  /** Reads the file, which is on `/etc/pve`: that has to answer. A failure is tried again. */
  read(vmids: ReadonlySet<Vmid>): void {
    const file = this.#read(this.#path);
    this.#readMs = file.ok ? this.#clock.monotonicMs() : NEVER_MS;
    this.#askedFor = vmids;
    this.#figures = file.ok
      ? present(parseRrd(file.value.toString('latin1'), (vmid) => vmids.has(vmid)))
      : file;
  }

  of(vmid: Vmid): Reading<PvestatdFigure> {
    if (!this.#figures.ok) return this.#figures;
    const figure = this.#figures.value.get(vmid);
    if (figure === undefined) return missing('absent', `${this.#path}: nothing of ${vmid}`);
    return present(figure);
  }
}
