/** Time that passes as fast as it is asked to, and that promises can wait for. */

interface Due {
  readonly atMs: number;
  readonly act: () => void;
}

/** Lets every callback run that has nothing to wait for. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class VirtualTime {
  #nowMs = 0;
  /** In the order of their times; of one time, in the order of their coming. */
  readonly #due: Due[] = [];
  readonly #pass: (elapsedMs: number) => void;

  /** @param pass told of each stretch of time in which nothing is due */
  constructor(pass: (elapsedMs: number) => void) {
    this.#pass = pass;
  }

  /** Milliseconds since the beginning. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Acts at a time, or as soon as time passes where that one is over. */
  at(atMs: number, act: () => void): void {
    const after = this.#due.findIndex((due) => due.atMs > atMs);
    this.#due.splice(after < 0 ? this.#due.length : after, 0, { atMs, act });
  }

  /** Acts again and again, the first time after one period. */
  every(periodMs: number, act: () => void): void {
    const again = (): void => {
      this.at(this.#nowMs + periodMs, again);
      act();
    };
    this.at(this.#nowMs + periodMs, again);
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.at(this.#nowMs + ms, resolve));
  }

  /** Lets time pass up to a point; who wakes up meanwhile goes on at his own time. */
  async passTo(atMs: number): Promise<void> {
    while ((this.#due[0]?.atMs ?? Number.POSITIVE_INFINITY) <= atMs) {
      this.#next();
    }
    this.#goTo(atMs);
    await turn();
  }

  /**
   * Lets as much time pass as a piece of work takes.
   *
   * @throws where it waits for something that no virtual time will bring
   */
  async during<T>(work: Promise<T>): Promise<T> {
    let over = false;
    const end = (): void => {
      over = true;
    };
    work.then(end, end);
    await turn();
    while (!over) {
      if (this.#due.length === 0) throw new Error('it waits for more than virtual time');
      this.#next();
      await turn();
    }
    return work;
  }

  #next(): void {
    const due = this.#due.shift();
    if (due === undefined) return;
    this.#goTo(due.atMs);
    due.act();
  }

  #goTo(atMs: number): void {
    const elapsedMs = atMs - this.#nowMs;
    if (elapsedMs <= 0) return;
    this.#nowMs = atMs;
    this.#pass(elapsedMs);
  }
}
