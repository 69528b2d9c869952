import type { HealthReport } from '../core/report/health.ts';
import { type ControlSocket, openControlSocket } from '../host/control-socket.ts';
import type { Known } from './control-answer.ts';
import type { OpenWorld, Surroundings } from './world.ts';

export interface ControlOptions {
  readonly open: OpenWorld;
  readonly around: Surroundings;
  readonly known: () => Known;
  readonly health: () => HealthReport;
}

/** Where `status` and `explain` ask. What answers them is loaded when somebody first does. */
export const openControl = ({
  open,
  around,
  known,
  health,
}: ControlOptions): Promise<ControlSocket> =>
  openControlSocket({
    paths: around.paths,
    complain: (message) => open.world.log.warn(message),
    answer: async (request) => {
      if (request.command === 'health') {
        await open.ask();
        return { health: health() };
      }
      const { answerTo } = await import('./control-answer.ts');
      return answerTo(request, known());
    },
  });
