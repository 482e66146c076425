import type { Hex } from '#core/hex.js';
import { intentBook, type Candidate, type IntentBook, type IntentStore } from '#services/intentBook.js';

/** IntentStore in memory; `onWrite` stands at the door after each line, where a crash may come. */
export class MemoryIntents implements IntentStore {
  readonly #books = new Map<string, Map<string, string>>();
  onWrite: (book: string, place: string) => void = () => {};

  async write(book: string, place: string, line: string): Promise<string> {
    const lines = this.#books.get(book) ?? new Map<string, string>();
    this.#books.set(book, lines);
    const before = lines.get(place);
    if (before !== undefined) return before;
    lines.set(place, line);
    this.onWrite(book, place);
    return line;
  }

  async read(book: string, prefix: string): Promise<string[]> {
    const lines = [...(this.#books.get(book) ?? [])].filter(([place]) => place.startsWith(prefix));
    return lines.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, line]) => line);
  }

  async last(book: string): Promise<string | null> {
    return [...(this.#books.get(book)?.keys() ?? [])].sort().at(-1) ?? null;
  }

  /** What the sender of this key has written. */
  of(address: Hex, chainId = 31337): IntentBook {
    return intentBook(this, chainId, address);
  }

  /** The transactions that were signed for an intent's newest attempt, oldest first. */
  async signedFor(address: Hex, intent: string): Promise<(Candidate & { nonce: number })[]> {
    const book = this.of(address);
    const nonce = (await book.attempts(intent)).at(-1);
    if (nonce === undefined) return [];
    return (await book.candidates(nonce)).map((candidate) => ({ ...candidate, nonce }));
  }
}
