/**
 * A region at the bottom of the terminal that is drawn again in place, below lines that stay. Drawing never
 * exceeds the screen: what scrolled out of sight cannot be erased any more.
 */
export class Region {
  readonly #write: (text: string) => void;
  readonly #rows: () => number;
  #drawn = 0;

  constructor(write: (text: string) => void, rows: () => number) {
    this.#write = write;
    this.#rows = rows;
  }

  /** Writes `lasting` above the region and draws the region anew. */
  draw(lasting: readonly string[], region: readonly string[]): void {
    const shown = region.slice(0, Math.max(1, this.#rows() - 2));
    const text = [...lasting, ...shown].map((line) => `${line}\n`).join('');
    this.#write(this.#erase() + text);
    this.#drawn = shown.length;
  }

  clear(): void {
    this.#write(this.#erase());
    this.#drawn = 0;
  }

  #erase(): string {
    return this.#drawn === 0 ? '' : `\u001b[${this.#drawn}A\u001b[0J`;
  }
}
