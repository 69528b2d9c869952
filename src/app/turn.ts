/** Works that must not overlap: each begins when those before it are over. */
export class Turn {
  #last: Promise<unknown> = Promise.resolve();

  take<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work);
    // A failure is for who has asked for the work, and for nobody after it.
    this.#last = mine.catch(() => {});
    return mine;
  }

  /** Resolves when nothing is under way. */
  async over(): Promise<void> {
    await this.#last;
  }
}
