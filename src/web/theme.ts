/** Light, dark, or as the system is. The choice is kept in this browser. */
export type Theme = 'system' | 'light' | 'dark';

const KEPT_AS = 'lxc-autoscale-theme';
const NEXT: Readonly<Record<Theme, Theme>> = { system: 'light', light: 'dark', dark: 'system' };

export const nextTheme = (theme: Theme): Theme => NEXT[theme];

/** A browser may forbid to keep anything: then each visit begins as the system is. */
export function keptTheme(): Theme {
  try {
    const kept = localStorage.getItem(KEPT_AS);
    return kept === 'light' || kept === 'dark' ? kept : 'system';
  } catch {
    return 'system';
  }
}

export function applyTheme(theme: Theme): void {
  const root = document.documentElement;
  if (theme === 'system') delete root.dataset['theme'];
  else root.dataset['theme'] = theme;
  try {
    localStorage.setItem(KEPT_AS, theme);
  } catch {
    // It holds for this visit.
  }
}
