/**
 * One task at a time over all stacks, first come, first served. A stack has at most one task waiting, so none takes
 * two turns while another waits.
 */
export class Turns {
  #taken = false;
  readonly #waiting: (() => void)[] = [];

  /** @returns what ends the turn, to be called once @throws the signal's reason when it is aborted while waiting */
  async take(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#taken) await this.#wait(signal);
    this.#taken = true;
    return () => {
      const next = this.#waiting.shift();
      // The turn is handed on, so that nobody who comes now gets in between.
      if (next) next();
      else this.#taken = false;
    };
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(come), 1);
        reject(signal.reason as Error);
      };
      const come = (): void => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      this.#waiting.push(come);
      signal.addEventListener('abort', leave, { once: true });
    });
  }
}
