/** The lock files under `/run/lock/lxc`: who changes a configuration holds its lock. */

type Waiter = () => void;

export class ConfigLocks {
  readonly #held = new Set<number>();
  readonly #waiters = new Map<number, Waiter[]>();

  held(vmid: number): boolean {
    return this.#held.has(vmid);
  }

  /** Takes the lock if it is free. */
  tryHold(vmid: number): boolean {
    if (this.#held.has(vmid)) return false;
    this.#held.add(vmid);
    return true;
  }

  /** Waits for the lock, at most so long. Returns whether it is held now. */
  async hold(vmid: number, timeoutMs: number): Promise<boolean> {
    if (this.tryHold(vmid)) return true;
    return new Promise((resolve) => {
      const queue = this.#waiters.get(vmid) ?? [];
      this.#waiters.set(vmid, queue);
      const granted = (): void => {
        clearTimeout(timer);
        resolve(true);
      };
      const timer = setTimeout(() => {
        queue.splice(queue.indexOf(granted), 1);
        resolve(false);
      }, timeoutMs);
      queue.push(granted);
    });
  }

  /** Gives the lock to the one who has waited longest, or frees it. */
  release(vmid: number): void {
    const next = this.#waiters.get(vmid)?.shift();
    if (next === undefined) this.#held.delete(vmid);
    else next();
  }
}
