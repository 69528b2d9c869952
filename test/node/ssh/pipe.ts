import { afterEach } from 'vitest';
import { FAR_READER } from '../../../src/node/ssh/far-reader.ts';
import { KeptConnection } from '../../../src/node/ssh/kept-connection.ts';
import { REAL_CLOCK } from '../local/world.ts';

/** The far reader, with a pipe in the place of the network. */

const open: KeptConnection[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

/** @param script Perl, which runs in the place of the far reader */
export function connect(script = FAR_READER, clock = REAL_CLOCK): KeptConnection {
  return connectBy('perl', ['-e', script], clock);
}

/** @param file what runs in the place of `ssh` */
export function connectBy(
  file: string,
  args: readonly string[],
  clock = REAL_CLOCK,
): KeptConnection {
  const start = { file, args, env: { PATH: '/usr/bin:/bin' } };
  const connection = new KeptConnection({ start, clock, random: () => 0 });
  open.push(connection);
  return connection;
}

/** Perl that says by which process id it runs, before anything else. */
export const tellingPid = (path: string): string =>
  `open(my $pid, '>', '${path}'); print $pid "$$\\n"; close $pid;\n`;
