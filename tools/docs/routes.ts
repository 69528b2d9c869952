import { Access } from '../../src/app/http/access.ts';
import { allRoutes } from '../../src/app/http/all-routes.ts';
import { LiveEvents } from '../../src/app/http/events.ts';
import { openApi } from '../../src/app/http/openapi.ts';
import { ProxmoxLogins } from '../../src/app/http/proxmox-logins.ts';
import type { Route } from '../../src/app/http/route.ts';
import { milliseconds } from '../../src/core/units.ts';

/** Every route of the API, without a daemon behind it. */
export function everyRoute(): readonly Route[] {
  const access = new Access(() => milliseconds(0));
  const users = new ProxmoxLogins(
    async () => ({ kind: 'unknown' }),
    access,
    () => {},
  );
  return allRoutes(access, users, new LiveEvents((text) => text));
}

/** docs/openapi.json. */
export const openApiText = (version: string): string =>
  `${JSON.stringify(openApi(everyRoute(), version), null, 1)}\n`;
