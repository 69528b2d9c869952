import type { HealthReport } from '../core/report/health.ts';
import { type ControlSocket, openControlSocket } from '../os/control-socket.ts';
import type { ProcessContext } from './context.ts';
import type { DaemonState } from './control-answer.ts';
import type { OpenHome } from './world.ts';

export interface ControlOptions {
  readonly open: OpenHome;
  readonly context: ProcessContext;
  /** What is known of each node, the home first. */
  readonly known: () => readonly [DaemonState, ...DaemonState[]];
  readonly health: () => HealthReport;
  readonly loginLink: () => Promise<object>;
}

/** The socket that `status` and `explain` ask. The code of the answers is loaded with the first. */
export const openControl = ({
  open,
  context,
  known,
  health,
  loginLink,
}: ControlOptions): Promise<ControlSocket> =>
  openControlSocket({
    paths: context.paths,
    complain: (message) => open.outputs.log.warn(message),
    answer: async (request) => {
      if (request.command === 'health') {
        await open.lookHere();
        return { health: health() };
      }
      if (request.command === 'reload') {
        process.kill(process.pid, 'SIGHUP');
        return { reloading: true };
      }
      if (request.command === 'dashboard') return loginLink();
      const { answerTo } = await import('./control-answer.ts');
      return answerTo(request, known());
    },
  });
