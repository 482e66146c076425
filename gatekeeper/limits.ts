/** What one runner, and one stranger, can take of the gatekeeper. docs/gatekeeper.md gives the reasons. */
export const limits = {
  /** Bytes of one request's message, also after decompression. */
  requestBytes: 1024 * 1024,
  /** Bytes of one answer of Temporal: tasks are references, so this is far away. */
  answerBytes: 8 * 1024 * 1024,
  /** Seconds within which a request's bytes must have come. */
  requestSeconds: 10,
  /** Longest that Temporal is given; polls end by themselves before. */
  pollSeconds: 75,
  callSeconds: 30,
  /** Seconds for TLS and for being looked up. */
  handshakeSeconds: 5,
  /** An admitted session without any call ends after this. */
  idleSeconds: 150,
  streamsPerSession: 16,
  /** A runner renews its certificate with a second session; a third and fourth are room for accidents. */
  sessionsPerRunner: 4,
  callsPerSecond: 50,
  callsAtOnce: 150,
  /** Certificates that are looked up in the table, of all newcomers together. */
  lookupsPerSecond: 200,
  lookupsAtOnce: 2_000,
  /** Connections that nobody stands for yet: in all, and from one address. The oldest make room. */
  strangers: 1_024,
  strangersPerAddress: 512,
  /** Half-open connections are found by unanswered pings. */
  pingSeconds: 10,
} as const;

/** So many at once, so many a second in the long run. */
export class TokenBucket {
  #tokens: number;
  #filledAt = performance.now();

  constructor(
    private readonly size: number,
    private readonly perSecond: number,
  ) {
    this.#tokens = size;
  }

  take(): boolean {
    const now = performance.now();
    this.#tokens = Math.min(this.size, this.#tokens + ((now - this.#filledAt) / 1_000) * this.perSecond);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}

/**
 * Connections that have not shown who they are. When there are too many the oldest one goes, so that whoever knows
 * how to enter, which takes milliseconds, still finds a place in a flood of others that wait.
 */
export class Strangers<Connection extends { destroy(): unknown }> {
  readonly #waiting = new Map<Connection, string>();
  readonly #perAddress = new Map<string, Set<Connection>>();

  get size(): number {
    return this.#waiting.size;
  }

  has(connection: Connection): boolean {
    return this.#waiting.has(connection);
  }

  /** @returns true when another one had to go for it */
  add(connection: Connection, address: string): boolean {
    const own = this.#perAddress.get(address) ?? new Set();
    this.#perAddress.set(address, own);
    const [oldest] = own.size >= limits.strangersPerAddress ? own : this.#full();
    this.#waiting.set(connection, address);
    own.add(connection);
    if (!oldest) return false;
    this.remove(oldest);
    oldest.destroy();
    return true;
  }

  remove(connection: Connection): void {
    const address = this.#waiting.get(connection);
    if (address === undefined) return;
    this.#waiting.delete(connection);
    const own = this.#perAddress.get(address);
    own?.delete(connection);
    if (own?.size === 0) this.#perAddress.delete(address);
  }

  #full(): Iterable<Connection> {
    return this.#waiting.size >= limits.strangers ? this.#waiting.keys() : [];
  }
}
