import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';

/** Bytes per second that an owner allows, as policy.yaml has them; null is without limit. */
export const bandwidthSchema = z.strictObject({
  up: z.number().int().min(16_384).nullable().default(null),
  down: z.number().int().min(16_384).nullable().default(null),
});

/** What may be sent at once after a rest: at any rate less than a second's worth. */
const BURST_MS = 250;

/** A token bucket that counts in time: each byte occupies the line for a while, whoever sends it. */
export class Throttle {
  /** Bytes per second; null is without limit. */
  rate: number | null = null;
  /** When the line is free again. */
  #free = 0;

  /** Resolves when so many bytes may go. Those who ask are served in their order. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.rate === null) return;
    const now = performance.now();
    this.#free = Math.max(this.#free, now - BURST_MS) + (1_000 * bytes) / this.rate;
    const wait = this.#free - now;
    if (wait > 0) await delay(wait, undefined, { signal });
  }
}

/** The caps of one runner, shared by all its transfers. */
export class Bandwidth {
  readonly up = new Throttle();
  readonly down = new Throttle();

  limit({ up, down }: z.output<typeof bandwidthSchema>): void {
    this.up.rate = up;
    this.down.rate = down;
  }
}
