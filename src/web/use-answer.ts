import { useEffect, useRef, useState } from 'preact/hooks';
import type { Answer, Api, Problem } from './api.ts';

/** What a view has asked the daemon for: the last good answer stays while a new one is awaited. */
export interface Asked<T> {
  readonly value: T | undefined;
  /** Why the last request brought nothing. */
  readonly problem: Problem | undefined;
}

/**
 * @param path undefined: there is nothing to ask now
 * @param version it is asked anew whenever this changes
 */
export function useAnswer<T>(api: Api, path: string | undefined, version: number): Asked<T> {
  const [asked, setAsked] = useState<Asked<T> & { readonly path: string | undefined }>({
    value: undefined,
    problem: undefined,
    path,
  });
  const latest = useRef(0);
  useEffect(() => {
    if (path === undefined) return;
    latest.current += 1;
    const mine = latest.current;
    void api.get<T>(path).then((answer: Answer<T>) => {
      if (mine !== latest.current) return;
      if (answer.ok) setAsked({ value: answer.value, problem: undefined, path });
      else
        setAsked((before) => ({
          value: before.path === path ? before.value : undefined,
          problem: answer.problem,
          path,
        }));
    });
    return () => {
      latest.current += 1;
    };
  }, [api, path, version]);
  return asked.path === path ? asked : { value: undefined, problem: undefined };
}
