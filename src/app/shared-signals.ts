import type { Signals } from './scheduler.ts';

type Signal = Parameters<Signals['on']>[0];

/**
 * One listener for each signal, however many listen here: each node of a cluster has a schedule of
 * its own, and Node takes more than ten listeners for a leak.
 */
export function sharing(signals: Signals): Signals {
  const listeners = new Map<Signal, Set<() => void>>();
  const tells = new Map<Signal, () => void>();
  return {
    on(signal, listener) {
      const own = listeners.get(signal) ?? new Set();
      listeners.set(signal, own.add(listener));
      if (tells.has(signal)) return;
      const tell = (): void => {
        for (const one of [...own]) one();
      };
      tells.set(signal, tell);
      signals.on(signal, tell);
    },
    off(signal, listener) {
      const own = listeners.get(signal);
      const tell = tells.get(signal);
      if (own?.delete(listener) !== true || own.size > 0 || tell === undefined) return;
      listeners.delete(signal);
      tells.delete(signal);
      signals.off(signal, tell);
    },
  };
}
