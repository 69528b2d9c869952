/**
 * The file of variables for `${NAME}` in the configuration, in the form that systemd reads as an
 * EnvironmentFile: `NAME=VALUE` lines, comments that begin with `#` or `;`, a value in quotes or
 * without. Lines of another form are left out: what they would set is then said not to be set.
 */
export function parseVariables(text: string): Readonly<Record<string, string>> {
  const found = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const [, name = '', value = ''] = LINE.exec(line) ?? [];
    if (name !== '') found.set(name, unquoted(value.trim()));
  }
  return Object.fromEntries(found);
}

const LINE = /^\s*([A-Za-z_][A-Za-z0-9_]*)=(.*)$/;

/** In double quotes a backslash stands before a quote, a backslash, `$` or a backtick. */
function unquoted(value: string): string {
  const [, double, single] = /^(?:"(.*)"|'(.*)')$/.exec(value) ?? [];
  return double?.replace(/\\(["\\$`])/g, '$1') ?? single ?? value;
}
