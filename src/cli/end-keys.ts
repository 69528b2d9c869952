const CTRL_C = '\x03';
const CTRL_Z = '\x1a';

/**
 * On a terminal a key ends what runs: q, or Ctrl-C, which is then a key too. So is Ctrl-Z: the
 * process stops, and the terminal is as it was until the shell lets it go on.
 *
 * @param stop stops this process
 * @returns lets go of the terminal
 */
export function onEndKeys(
  stdin: NodeJS.ReadStream,
  end: () => void,
  { on, off, stop }: Stopping = ofThisProcess,
): () => void {
  if (stdin.isTTY !== true) return () => {};
  const goOn = (): void => void stdin.setRawMode(true);
  const hear = (keys: Buffer): void => {
    const text = keys.toString('utf8');
    if (text.includes('q') || text.includes('Q') || text.includes(CTRL_C)) end();
    else if (text.includes(CTRL_Z)) {
      stdin.setRawMode(false);
      stop();
    }
  };
  stdin.setRawMode(true);
  stdin.on('data', hear).resume();
  on(goOn);
  return () => {
    off(goOn);
    stdin.off('data', hear).pause();
    stdin.setRawMode(false);
  };
}

/** How a process stops, and hears that it goes on. */
interface Stopping {
  on(goesOn: () => void): void;
  off(goesOn: () => void): void;
  stop(): void;
}

const ofThisProcess: Stopping = {
  on: (goesOn) => void process.on('SIGCONT', goesOn),
  off: (goesOn) => void process.off('SIGCONT', goesOn),
  stop: () => void process.kill(process.pid, 'SIGTSTP'),
};
