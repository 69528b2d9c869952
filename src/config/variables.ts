/** `${VAR}` and `${VAR:-default}` in the values of a configuration file. */

export type Environment = Readonly<Record<string, string | undefined>>;

export type Expanded =
  | { readonly ok: true; readonly text: string; readonly fromVariable: boolean }
  | { readonly ok: false; readonly message: string };

/** Longer than any value can sensibly be; `${A}${A}...` must not fill the memory. */
const MAX_EXPANDED_CHARS = 65_536;

const REFERENCE = /\$\$\{|\$\{([^}]*)\}|\$\{/g;
const NAME_AND_DEFAULT = /^([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/;

/**
 * Replaces the references in one value. As in a shell, `:-` gives the default even if the
 * variable is set and empty; `$${` stands for a literal `${`. It works on values that YAML has
 * already been parsed to, so a variable can never add a key or a line.
 */
export function expandVariables(text: string, env: Environment): Expanded {
  let expanded = '';
  let end = 0;
  let fromVariable = false;
  for (const match of text.matchAll(REFERENCE)) {
    expanded += text.slice(end, match.index);
    end = match.index + match[0].length;
    if (match[0] === '$${') {
      expanded += '${';
      continue;
    }
    const value = resolveReference(match[1], env);
    if (!value.ok) return value;
    expanded += value.text;
    fromVariable = true;
    if (expanded.length > MAX_EXPANDED_CHARS) {
      return { ok: false, message: 'is too long once its variables are put in' };
    }
  }
  return { ok: true, text: expanded + text.slice(end), fromVariable };
}

function resolveReference(inner: string | undefined, env: Environment): Expanded {
  const parts = inner === undefined ? null : NAME_AND_DEFAULT.exec(inner);
  const name = parts?.[1];
  if (name === undefined) {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is the notation, not a template.
    const forms = 'write ${NAME} or ${NAME:-default}, or $${ for a literal ${';
    return { ok: false, message: `holds a variable that cannot be read; ${forms}` };
  }
  const set = Object.hasOwn(env, name) ? env[name] : undefined;
  const fallback = parts?.[2];
  if (set !== undefined && (set !== '' || fallback === undefined)) {
    return { ok: true, text: set, fromVariable: true };
  }
  if (fallback !== undefined) return { ok: true, text: fallback, fromVariable: true };
  if (Object.hasOwn(env, `${name}_FILE`)) {
    const what = `the environment variable ${name}_FILE names no file that can be used`;
    return { ok: false, message: `${what}; it must be readable, and written by root alone` };
  }
  const remedy = `set it for the service, or write \${${name}:-default}`;
  return { ok: false, message: `the environment variable ${name} is not set; ${remedy}` };
}
