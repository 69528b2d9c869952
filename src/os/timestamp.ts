import type { Milliseconds } from '../core/units.ts';

const two = (value: number): string => String(value).padStart(2, '0');

function inHostZone(wallMs: Milliseconds): string {
  const date = new Date(wallMs);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/**
 * Makes the function that writes a time for people, as `2024-08-14 22:04:45`, in an IANA timezone
 * (`Europe/Berlin`), or in the host's where it is undefined. Milliseconds are cut off.
 * Throws a RangeError for a zone that this Node does not know; the configuration is checked before.
 */
export function createTimestamp(timezone: string | undefined): (wallMs: Milliseconds) => string {
  // Intl costs 2 MB of private memory, so it is not touched where nobody asked for another zone.
  if (timezone === undefined) return inHostZone;
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: timezone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  });
  return (wallMs) => {
    const part: Partial<Record<Intl.DateTimeFormatPartTypes, string>> = {};
    for (const { type, value } of format.formatToParts(wallMs)) part[type] = value;
    return `${part.year}-${part.month}-${part.day} ${part.hour}:${part.minute}:${part.second}`;
  };
}
