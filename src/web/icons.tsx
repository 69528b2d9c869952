/** Small drawings. Words always stand beside them, or name the button that they are in. */

const PATHS = {
  brand: 'M2.5 13V9M8 13V3m5.5 10V6.5',
  eye:
    'M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8Z' +
    'M8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z',
  bolt: 'M9 1.5 3.5 9H7l-1 5.5L12.5 7H9l0-5.5Z',
  search: 'M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10Zm3.6-1.4L14 14',
  up: 'M8 13V3M3.5 7.5 8 3l4.5 4.5',
  down: 'M8 3v10M3.5 8.5 8 13l4.5-4.5',
  left: 'M13 8H3m4.5-4.5L3 8l4.5 4.5',
  undo: 'M2.5 6.5h7a4 4 0 0 1 0 8H6M5.5 3 2 6.5 5.5 10',
  pause: 'M5 3v10M11 3v10',
  play: 'M4.5 2.5v11l8.5-5.5-8.5-5.5Z',
  edit: 'm2.5 13.5.7-3L11 2.7l2.3 2.3-7.8 7.8-3 .7Z',
  sun:
    'M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15' +
    'M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1',
  moon: 'M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7Z',
  system: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2Zm0 0v12',
  out: 'M6 2.5H3.5v11H6M10 11l3-3-3-3M13 8H6.5',
  check: 'm3 8.5 3.5 3.5L13 4.5',
  alert: 'M8 2 1.5 13.5h13L8 2Zm0 4.5v3m0 2v.2',
} as const;

export type IconName = keyof typeof PATHS;

export const Icon = ({ name }: { readonly name: IconName }) => (
  <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
    <path d={PATHS[name]} />
  </svg>
);
