import { version } from '../../../package.json';
import type { Access } from './access.ts';
import { changeRoutes } from './change-routes.ts';
import type { LiveEvents } from './events.ts';
import { figureRoutes } from './figure-routes.ts';
import { foundingRoutes } from './founding-routes.ts';
import { groupRoutes } from './group-routes.ts';
import { modeRoutes } from './mode-routes.ts';
import { openApi } from './openapi.ts';
import type { ProxmoxLogins } from './proxmox-logins.ts';
import { readRoutes } from './read-routes.ts';
import { type Route, route } from './route.ts';
import { sessionRoutes } from './session-routes.ts';

/** Every address that is answered. */
export function allRoutes(
  access: Access,
  users: ProxmoxLogins,
  events: LiveEvents,
): readonly Route[] {
  const described = route({
    method: 'GET',
    path: '/api/v1/openapi.json',
    role: 'anyone',
    summary: 'All routes for programs, as OpenAPI 3.1',
    run: () => openApi(all, version),
  });
  const changing = [...changeRoutes, ...groupRoutes, ...modeRoutes];
  const own = [...sessionRoutes(access, users), ...readRoutes(access, events), ...changing];
  const all = foundingRoutes([...own, described, ...figureRoutes]);
  return all;
}
