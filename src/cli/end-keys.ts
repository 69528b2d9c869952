const CTRL_C = '\x03';

/**
 * On a terminal a key ends what runs: q, or Ctrl-C, which is then a key too.
 *
 * @returns lets go of the terminal
 */
export function onEndKeys(stdin: NodeJS.ReadStream, end: () => void): () => void {
  if (stdin.isTTY !== true) return () => {};
  const hear = (keys: Buffer): void => {
    const text = keys.toString('utf8');
    if (text.includes('q') || text.includes('Q') || text.includes(CTRL_C)) end();
  };
  stdin.setRawMode(true);
  stdin.on('data', hear).resume();
  return () => {
    stdin.off('data', hear).pause();
    stdin.setRawMode(false);
  };
}
