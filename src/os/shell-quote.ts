/**
 * One word for a POSIX shell, whatever bytes it has: nothing between single quotes means anything
 * but the next single quote. A word cannot hold a NUL, as no argument of a program can.
 */
export const shellWord = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
