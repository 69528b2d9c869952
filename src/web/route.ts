import { useEffect, useState } from 'preact/hooks';

/** Which view is shown. It is in the part of the address after #, so that no server knows of it. */
export type Route =
  | { readonly view: 'guests' }
  | { readonly view: 'guest'; readonly vmid: number }
  | { readonly view: 'groups' }
  | { readonly view: 'advice' }
  | { readonly view: 'mode' }
  | { readonly view: 'history' }
  | { readonly view: 'health' };

const PLAIN = ['groups', 'advice', 'history', 'health', 'mode'] as const;

export function routeOf(hash: string): Route {
  const [view, id] = hash.replace(/^#\/?/, '').split('/');
  if (view === 'guests' && id !== undefined && /^[1-9][0-9]{0,8}$/.test(id)) {
    return { view: 'guest', vmid: Number(id) };
  }
  return { view: PLAIN.find((one) => one === view) ?? 'guests' };
}

export const hrefOf = (route: Route): string =>
  route.view === 'guest' ? `#/guests/${route.vmid}` : `#/${route.view}`;

export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const hear = (): void => setHash(location.hash);
    window.addEventListener('hashchange', hear);
    return () => window.removeEventListener('hashchange', hear);
  }, []);
  return routeOf(hash);
}
