import type { Signals } from './scheduler.ts';

type Signal = Parameters<Signals['on']>[0];

/**
 * One listener for each signal, however many listen here: each node of a cluster has a schedule of
 * its own, and Node takes more than ten listeners for a leak.
 */
export function sharing(signals: Signals): Signals {
  const listeners = new Map<Signal, Set<() => void>>();
  const relays = new Map<Signal, () => void>();
  return {
    on(signal, listener) {
      const own = listeners.get(signal) ?? new Set();
      listeners.set(signal, own.add(listener));
      if (relays.has(signal)) return;
      const relay = (): void => {
        for (const one of [...own]) one();
      };
      relays.set(signal, relay);
      signals.on(signal, relay);
    },
    off(signal, listener) {
      const own = listeners.get(signal);
      const relay = relays.get(signal);
      if (own?.delete(listener) !== true || own.size > 0 || relay === undefined) return;
      listeners.delete(signal);
      relays.delete(signal);
      signals.off(signal, relay);
    },
  };
}

/** The same signals for somebody who can be ended alone, as if by SIGTERM. */
export function endable(signals: Signals): { readonly signals: Signals; end(): void } {
  const own = new Set<() => void>();
  return {
    signals: {
      on(signal, listener) {
        if (signal === 'SIGTERM') own.add(listener);
        signals.on(signal, listener);
      },
      off(signal, listener) {
        if (signal === 'SIGTERM') own.delete(listener);
        signals.off(signal, listener);
      },
    },
    end() {
      for (const listener of [...own]) listener();
    },
  };
}
