import { width } from '../terminal/text.js';

/**
 * A region at the bottom of the terminal that is drawn again in place, below lines that stay. Drawing never
 * exceeds the screen: what scrolled out of sight cannot be erased any more.
 */
export class Region {
  /** Rows of the screen that the region takes. */
  #drawn = 0;

  constructor(
    private readonly write: (text: string) => void,
    private readonly screen: () => { rows: number; columns: number },
  ) {}

  /** Writes `lasting` above the region and draws the region anew. */
  draw(lasting: readonly string[], region: readonly string[]): void {
    const { rows, columns } = this.screen();
    const shown = region.slice(0, Math.max(1, rows - 2));
    this.write(this.#erase() + [...lasting, ...shown].map((line) => `${line}\n`).join(''));
    // A terminal that was made narrower breaks lines: they take more rows than there are lines.
    this.#drawn = shown.reduce((sum, line) => sum + Math.max(1, Math.ceil(width(line) / columns)), 0);
  }

  clear(): void {
    this.write(this.#erase());
    this.#drawn = 0;
  }

  #erase(): string {
    return this.#drawn === 0 ? '' : `\u001b[${this.#drawn}A\u001b[0J`;
  }
}
