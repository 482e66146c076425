import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

export const logPath = (stateDir: string, part: string): string => join(stateDir, 'logs', `${part}.log`);

const maxBytes = 16 * 1024 * 1024;
const maxLineLength = 16 * 1024;
const keptLines = 20;

/**
 * What one part writes, line by line, in STATE/logs/NAME.log; the file before it is kept as NAME.log.1. A full
 * disk costs lines, which are counted, and never the part: its last lines stay in memory too.
 */
export class PartLog {
  readonly #listeners = new Set<(line: string) => void>();
  readonly #partial = { stdout: '', stderr: '' };
  #recent: string[] = [];
  #bytes: number;
  #lost = 0;

  constructor(
    readonly path: string,
    private readonly limit: number = maxBytes,
  ) {
    mkdirSync(dirname(path), { recursive: true });
    this.#bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** Takes a piece of a stream. Lines of the two streams never mix within a line. */
  write(stream: 'stdout' | 'stderr', piece: string): void {
    const lines = (this.#partial[stream] + piece).split('\n');
    const rest = lines.pop() ?? '';
    this.#partial[stream] = rest.length > maxLineLength ? '' : rest;
    if (rest.length > maxLineLength) lines.push(rest);
    this.#append(lines);
  }

  /** A line of the supervisor's own. */
  note(text: string): void {
    this.#append([`[roundtable ${new Date().toISOString()}] ${text}`]);
  }

  /** Writes what a process left without a line's end. */
  flush(): void {
    for (const stream of ['stdout', 'stderr'] as const) {
      const rest = this.#partial[stream];
      this.#partial[stream] = '';
      if (rest !== '') this.#append([rest]);
    }
  }

  /** The last lines, at most 20. */
  tail(): string[] {
    return [...this.#recent];
  }

  /** Returns the call that ends it. */
  onLine(listener: (line: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #append(lines: string[]): void {
    if (lines.length === 0) return;
    this.#recent = [...this.#recent, ...lines].slice(-keptLines);
    for (const line of lines) for (const listener of this.#listeners) listener(line);
    const missing = this.#lost > 0 ? [`[roundtable] ${this.#lost} lines could not be written here`] : [];
    const text = [...missing, ...lines].join('\n') + '\n';
    try {
      if (this.#bytes > 0 && this.#bytes + text.length > this.limit) this.#rotate();
      appendFileSync(this.path, text);
      this.#bytes += Buffer.byteLength(text);
      this.#lost = 0;
    } catch {
      this.#lost += lines.length;
    }
  }

  #rotate(): void {
    renameSync(this.path, `${this.path}.1`);
    this.#bytes = 0;
  }
}
