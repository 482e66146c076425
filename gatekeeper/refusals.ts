import type { Logger } from '#services/log.js';
import type { Metrics } from '#services/telemetry/metrics.js';
import { TokenBucket } from './limits.js';

/**
 * The log of what was refused: a line for each kind of refusal and sender, at most one a second; the next line says
 * how many were left out. Names and paths from outside are cut, and JSON escapes what is in them.
 */
export class Refusals {
  readonly #log: Logger;
  readonly #seen = new Map<string, { bucket: TokenBucket; omitted: number }>();
  /** All refusals since the start. */
  total = 0;

  constructor(
    log: Logger,
    private readonly metrics: Metrics,
  ) {
    this.#log = log;
  }

  /** @param sender the runner, or the address of a stranger */
  add(reason: string, sender: string, fields: Record<string, string | number | undefined> = {}): void {
    this.total++;
    // Reasons are ours but for the numbers in them, which a sender could choose at will.
    this.metrics.record('gatekeeper_refusals', { reason: reason.replaceAll(/\d+/g, 'N') });
    const key = `${reason} ${sender}`;
    let entry = this.#seen.get(key);
    if (!entry) {
      // What is forgotten costs a line too many, nothing else.
      if (this.#seen.size >= mostKinds) this.#seen.delete(this.#seen.keys().next().value ?? '');
      entry = { bucket: new TokenBucket(5, 1), omitted: 0 };
      this.#seen.set(key, entry);
    }
    if (!entry.bucket.take()) {
      entry.omitted++;
      return;
    }
    const shown = Object.entries(fields).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, typeof value === 'string' ? value.slice(0, longest) : value]],
    );
    const omitted = entry.omitted > 0 ? { omitted: entry.omitted } : {};
    entry.omitted = 0;
    this.#log.warn({ reason, sender, ...Object.fromEntries(shown), ...omitted }, 'refused');
  }
}

const mostKinds = 10_000;
const longest = 120;
