/** Numbers as people read them. Pure. */

const MIB_PER_GIB = 1024;

/** `656 MB`, `3 GB`, `12.3 GB`: the form of the log up to a gigabyte, then three digits. */
export function memoryWords(mib: number): string {
  if (Math.abs(mib) < MIB_PER_GIB) return `${Math.round(mib)} MB`;
  const gib = mib / MIB_PER_GIB;
  return `${Number(gib.toFixed(Math.abs(gib) < 10 ? 2 : 1))} GB`;
}

/** `0.33 / 1.22 GB`: both in the unit of the second. */
export function memoryOf(usedMib: number | undefined, limitMib: number): string {
  const [amount = '', unit = ''] = memoryWords(limitMib).split(' ');
  if (usedMib === undefined) return `– / ${amount} ${unit}`;
  const digits = unit === 'MB' ? 0 : limitMib < 10 * MIB_PER_GIB ? 2 : 1;
  const used = (unit === 'GB' ? usedMib / MIB_PER_GIB : usedMib).toFixed(digits);
  return `${used} / ${amount} ${unit}`;
}

export const coresWords = (cores: number): string =>
  cores === 1 ? '1 core' : `${twoDigits(cores)} cores`;

export const twoDigits = (value: number): string => String(Math.round(value * 100) / 100);

/** With a true minus sign, which is as wide as the plus. */
export const signed = (value: number, words: (value: number) => string): string =>
  value === 0 ? words(0) : `${value > 0 ? '+' : '−'}${words(Math.abs(value))}`;

export const percentWords = (value: number): string =>
  `${value >= 10 ? Math.round(value) : Math.round(value * 10) / 10} %`;

/** `8 s`, `12 min`, `5 h`, `3 days`. */
export function spanWords(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}

/** The local time of a log, `2026-11-29 06:33:54`: of today only the time, else the day too. */
export function whenWords(time: string, today: string): string {
  return time.slice(0, 10) === today.slice(0, 10) ? time.slice(11, 16) : time.slice(5, 16);
}

/** The arrow of a terminal as one sign, which no line ends within. */
export const withArrows = (text: string): string => text.replaceAll(' -> ', ' → ');
