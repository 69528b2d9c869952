import { pageAnswer } from './page.ts';
import { HttpProblem } from './problem.ts';
import { type Route, route } from './route.ts';

/** The page, and the figures that `metrics_listen` serves too. */

const figures = (path: string, summary: string): Route =>
  route({
    method: 'GET',
    path,
    role: 'read',
    summary,
    run: async ({ service }) => {
      const answer = await service.figures(path);
      if (answer === undefined) throw new HttpProblem('no-such-route', `There is no ${path}`);
      const { status, type, body } = answer;
      return new Response(body, { status, headers: { 'content-type': type } });
    },
  });

const page = (path: string): Route =>
  route({
    method: 'GET',
    path,
    role: 'anyone',
    summary: 'The page',
    run: ({ service, request }) => pageAnswer(service.pageFile, request),
  });

export const figureRoutes: readonly Route[] = [
  page('/'),
  page('/index.html'),
  figures('/metrics', 'Metrics for Prometheus'),
  figures('/healthz', 'Whether the daemon runs'),
  figures('/readyz', 'Whether the daemon does its work'),
];
