import type { RunnerId } from '#core/hex.js';
import { limits, TokenBucket } from './limits.js';
import type { Visit } from './visit.js';

interface Guest {
  visits: Set<Visit>;
  /** Of all its sessions together. */
  calls: TokenBucket;
}

/** The sessions that were let in, by runner. */
export class Sessions {
  readonly #guests = new Map<RunnerId, Guest>();
  #size = 0;

  constructor(private readonly onLast: (runner: RunnerId) => void) {}

  get size(): number {
    return this.#size;
  }

  runners(): RunnerId[] {
    return [...this.#guests.keys()];
  }

  *[Symbol.iterator](): Generator<Visit> {
    for (const { visits } of this.#guests.values()) yield* visits;
  }

  /** @returns the budget of calls that the runner's sessions share; its oldest session goes when it has too many */
  enter(runner: RunnerId, visit: Visit): TokenBucket {
    let guest = this.#guests.get(runner);
    if (!guest) {
      guest = { visits: new Set(), calls: new TokenBucket(limits.callsAtOnce, limits.callsPerSecond) };
      this.#guests.set(runner, guest);
    }
    const [oldest] = guest.visits.size >= limits.sessionsPerRunner ? guest.visits : [];
    guest.visits.add(visit);
    this.#size++;
    oldest?.end('a newer session of the same runner took its place');
    return guest.calls;
  }

  leave(runner: RunnerId, visit: Visit): void {
    const guest = this.#guests.get(runner);
    if (!guest?.visits.delete(visit)) return;
    this.#size--;
    if (guest.visits.size > 0) return;
    this.#guests.delete(runner);
    this.onLast(runner);
  }
}
