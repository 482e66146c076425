import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';

/** Bytes in each unit, decimal or binary as it says (IEC 80000-13). */
const units = {
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  kbit: 1e3 / 8,
  Mbit: 1e6 / 8,
  Gbit: 1e9 / 8,
} as const;
const written = new RegExp(`^(\\d+(?:\\.\\d+)?) ?(${Object.keys(units).join('|')})/s$`);
const bytes = z.number().int().min(16_384, 'Less than 16384 bytes per second would never end.');
const rate = z.union([
  bytes,
  z
    .string()
    .regex(written, 'Expected bytes per second, or a rate like "4 MB/s" or "50 Mbit/s".')
    .transform((text) => {
      const [, amount, unit] = written.exec(text) ?? [];
      return Math.floor(Number(amount) * units[unit as keyof typeof units]);
    })
    .pipe(bytes),
]);

/** What an owner allows, as policy.yaml has it; in bytes per second once read, null is without limit. */
export const bandwidthSchema = z.strictObject({
  up: rate.nullable().default(null),
  down: rate.nullable().default(null),
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
