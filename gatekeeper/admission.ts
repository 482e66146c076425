import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '#services/log.js';
import type { RunnerId, Sha256Hex } from '#core/hex.js';
import type { Chain } from '#services/chain.js';
import type { EntryTable } from '#services/table/entries.js';
import { limits, TokenBucket } from './limits.js';

/** Whom a certificate stands for, and until when (seconds since 1970); or why it is not let in. */
export type Admission =
  | { runner: RunnerId; expiresAt: number }
  | { refused: string; /** It may be let in a moment later. */ passing: boolean };

/**
 * Who is let in: whoever entered the stack with a certificate that has not expired, is not barred by the stack's
 * member, and has not left or lost its stake on chain.
 *
 * Barred are those that the table lists; the list is read every second, also for sessions that are open. Without an
 * answer of the table the last list holds and nobody new is let in. The chain is asked in turns: up to 100 runners
 * that are here every 5 seconds. Without an answer of the chain its last word holds, and a runner it said nothing of
 * is let in: it could not have entered within the last 48 hours without being registered.
 */
export class Admissions {
  readonly #cache = new Map<Sha256Hex, { admission: Admission; readAt: number }>();
  readonly #lookups = new TokenBucket(limits.lookupsAtOnce, limits.lookupsPerSecond);
  readonly #gone = new Map<RunnerId, string>();
  readonly #asked = new Map<RunnerId, number>();
  #barred: { runners: ReadonlySet<string>; fingerprints: ReadonlySet<string> } | null = null;

  constructor(
    private readonly table: Pick<EntryTable, 'findEntry' | 'listBarred'>,
    private readonly chain: Pick<Chain, 'runner'> | null,
    private readonly log: Logger,
  ) {}

  async find(fingerprint: Sha256Hex): Promise<Admission> {
    const cached = this.#cache.get(fingerprint);
    if (cached && performance.now() - cached.readAt < cachedSeconds * 1_000)
      return this.#judged(fingerprint, cached.admission);
    // Certificates cost nothing to make, looking them up does.
    if (!this.#lookups.take())
      return { refused: 'too many came at once; the next attempt may succeed', passing: true };
    let admission: Admission;
    try {
      this.#barred ??= await this.table.listBarred();
      const entry = await this.table.findEntry(fingerprint);
      admission = entry
        ? { runner: entry.runner, expiresAt: entry.expiresAt }
        : { refused: 'a certificate that stands for nobody, or has expired', passing: false };
    } catch (error) {
      this.log.warn({ err: error }, 'the table does not answer; nobody new is let in');
      return { refused: 'the stack cannot look up certificates at present', passing: true };
    }
    if (this.#cache.size >= mostCached) this.#cache.delete(this.#cache.keys().next().value ?? '0x');
    this.#cache.set(fingerprint, { admission, readAt: performance.now() });
    return this.#judged(fingerprint, admission);
  }

  /** Why a session that is open must end; null while it may stay. */
  objection(runner: RunnerId, fingerprint: Sha256Hex): string | null {
    if (this.#barred?.runners.has(runner)) return 'suspended by the member of this stack';
    if (this.#barred?.fingerprints.has(fingerprint)) return 'a certificate that was revoked';
    return this.#gone.get(runner) ?? null;
  }

  /** Reads what changes until the signal, and calls back after each reading. */
  async watch(present: () => readonly RunnerId[], onChange: () => void, signal: AbortSignal): Promise<void> {
    await Promise.all([
      repeat(barredSeconds, signal, async () => {
        try {
          this.#barred = await this.table.listBarred();
        } catch (error) {
          this.log.warn({ err: error }, 'the table does not answer; who was barred stays barred');
        }
        onChange();
      }),
      repeat(chainSeconds, signal, async () => {
        await this.#askChain(present());
        onChange();
      }),
    ]);
  }

  async #askChain(present: readonly RunnerId[]): Promise<void> {
    const { chain } = this;
    if (!chain) return;
    // Who was found gone is asked again too: it may have registered anew.
    const waiting = [...new Set([...present, ...this.#gone.keys()])].sort(
      (a, b) => (this.#asked.get(a) ?? 0) - (this.#asked.get(b) ?? 0),
    );
    for (const runner of this.#asked.keys()) if (!waiting.includes(runner)) this.#asked.delete(runner);
    await Promise.all(
      waiting.slice(0, askedAtOnce).map(async (runner) => {
        try {
          const registered = await chain.runner(runner);
          this.#asked.set(runner, Date.now());
          if (registered && registered.stake > 0n && registered.leftAt === null) this.#gone.delete(runner);
          else this.#gone.set(runner, 'a runner that has left the consortium or has no stake');
        } catch (error) {
          this.log.debug({ err: error, runner }, 'the chain does not answer; its last word holds');
        }
      }),
    );
  }

  #judged(fingerprint: Sha256Hex, admission: Admission): Admission {
    if ('refused' in admission) return admission;
    if (admission.expiresAt <= Date.now() / 1_000)
      return { refused: 'a certificate that has expired', passing: false };
    const objection = this.objection(admission.runner, fingerprint);
    return objection === null ? admission : { refused: objection, passing: false };
  }
}

const cachedSeconds = 2;
const barredSeconds = 1;
const chainSeconds = 5;
const askedAtOnce = 100;
const mostCached = 10_000;

async function repeat(seconds: number, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await work();
    await delay(seconds * 1_000, undefined, { signal }).catch(() => undefined);
  }
}
