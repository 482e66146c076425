/** Brings what is signed for a key's nonces into the chain, in the order of the nonces. */
import { Transaction } from 'ethers';
import type { Address } from '#contracts/deployment.js';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import type { Candidate, IntentBook } from '../intentBook.js';
import { feesAbove, feesAt, feesOf, isCurrent, tooExpensive } from './fees.js';
import type { Network } from './networks.js';
import type { MinedTransaction, Reception, Transactions } from './transactions.js';

/** Milliseconds: between looks at first and at most, until a transaction is replaced, until a call gives up. */
export interface Timing {
  pauseMs: number;
  longestPauseMs: number;
  stuckAfterMs: number;
  patienceMs: number;
}

/** What became of a nonce; `before`: it had been mined when the call came. */
export type Outcome =
  | { kind: 'mined'; mined: MinedTransaction; before: boolean }
  /** By a transaction of this key that is not in the book. */
  | { kind: 'taken'; by: Hex };

export interface Nonces {
  /**
   * Sends a nonce's candidates until one of them counts; replaces them where they are stuck.
   * @param spent wei that earlier attempts of the same intent may have cost
   * @throws CHAIN_NOT_MINED, CHAIN_TOO_EXPENSIVE, CHAIN_INSUFFICIENT_FUNDS, CHAIN_UNREACHABLE
   */
  pursue(nonce: number, what: string, spent: bigint): Promise<Outcome>;
  /** Pursues whatever is in the book and not in the chain. @returns whether there was anything */
  heal(): Promise<boolean>;
  /**
   * The next nonce that nothing was signed for. Only before the first one, and when another program was proved to
   * use the key (`stranger`), nodes are asked. @throws CHAIN_DISAGREES
   */
  next(of: { stranger: boolean }): Promise<number>;
}

/** So many nonces below one may be missing; more is not a reorganisation but a wrong table or a lie. */
const mostMissing = 64;

const passing = ['CHAIN_UNREACHABLE', 'CHAIN_REFUSED', 'CHAIN_TOO_EXPENSIVE'] as const;

export function createNonces(options: {
  transactions: Transactions;
  book: IntentBook;
  network: Network;
  address: Address;
  timing: Timing;
}): Nonces {
  const { transactions, book, network, address, timing } = options;
  return { pursue, heal, next };

  async function heal(): Promise<boolean> {
    const last = await book.lastNonce();
    return last !== null && (await restore(last));
  }

  async function next({ stranger }: { stranger: boolean }): Promise<number> {
    const last = await book.lastNonce();
    if (last !== null && !stranger) return last + 1;
    const count = await transactions.count();
    if (count === null)
      throw new RoundtableError(
        'CHAIN_DISAGREES',
        `The RPC endpoints do not agree how many transactions ${address} has sent. Repeat when they do, or leave out the one that lags.`,
      );
    return Math.max(count, last === null ? 0 : last + 1);
  }

  async function pursue(nonce: number, what: string, spent: bigint): Promise<Outcome> {
    const since = Date.now();
    const late = () => Date.now() - since >= timing.patienceMs;
    let stuckAfter = timing.stuckAfterMs;
    let raiseAt = since + stuckAfter;
    let raised = false;
    let reception: Reception | null = null;
    let waitsFor: RoundtableError | null = null;
    let pause = timing.pauseMs;
    for (let look = 0; ; look += 1) {
      try {
        const candidates = await filled(nonce);
        let mined = await sighted(candidates);
        if (mined === null && (raised || look % 3 === 0)) {
          raised = false;
          reception = await offer(candidates);
          if (reception.kind === 'taken') mined = await sighted(candidates);
          if (reception.kind === 'no funds') throw noFunds(what, reception.reason);
        }
        if (mined?.counts) return { kind: 'mined', mined, before: look === 0 && reception === null };
        if (mined === null && look % 3 === 2) {
          await restore(nonce - 1);
          const by = reception?.kind === 'nonce used' ? await stranger(nonce, candidates) : null;
          if (by !== null) return { kind: 'taken', by };
        }
        if (mined === null && (reception?.kind === 'too cheap' || Date.now() >= raiseAt)) {
          waitsFor = await raise(nonce, candidates, what, spent);
          raised = waitsFor === null;
          stuckAfter *= 2;
          raiseAt = Date.now() + stuckAfter;
        }
      } catch (error) {
        // What an endpoint cannot do now, it or another can do at the next look; nothing is lost by looking again.
        if (late() || !passing.some((code) => isRoundtableError(error, code))) throw error;
      }
      if (late()) throw waitsFor ?? notMined(what, nonce, reception);
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(pause * 1.5, timing.longestPauseMs);
    }
  }

  /** Brings back what a reorganisation undid from this nonce down. Nonces are mined without gaps, so one that is there ends it. */
  async function restore(from: number): Promise<boolean> {
    const missing: number[] = [];
    for (let nonce = from; nonce >= 0 && missing.length < mostMissing; nonce -= 1) {
      const candidates = await book.candidates(nonce);
      if ((await sighted(candidates)) !== null) break;
      // Not in the book, or given up by its intent: another program's, unless it is proved that nobody's is there.
      if (await isFree(nonce, candidates)) {
        const count = await transactions.count();
        if ((count === null || count > nonce) && (await transactions.minedUnder(nonce)) !== null) break;
      }
      missing.unshift(nonce);
    }
    for (const nonce of missing) await pursue(nonce, `nonce ${nonce}`, 0n);
    return missing.length > 0;
  }

  /** The newest of the candidates that is in the chain. */
  async function sighted(candidates: readonly Candidate[]): Promise<MinedTransaction | null> {
    for (const { hash } of candidates.toReversed()) {
      const mined = await transactions.mined(hash);
      if (mined !== null) return mined;
    }
    return null;
  }

  /** Whether nothing that is signed for a nonce may be sent: its intent, if it had one, has gone on to another. */
  async function isFree(nonce: number, candidates: readonly Candidate[]): Promise<boolean> {
    const [first] = candidates;
    if (first === undefined) return true;
    return first.intent !== null && (await book.attempts(first.intent)).at(-1) !== nonce;
  }

  /** A nonce's candidates; one that nobody needs any more is filled with a transfer of nothing to ourselves. */
  async function filled(nonce: number): Promise<Candidate[]> {
    const candidates = await book.candidates(nonce);
    const newest = candidates.at(-1);
    if (newest?.intent === null || !(await isFree(nonce, candidates))) return candidates;
    if ((await sighted(candidates)) !== null) return candidates;
    const request = { to: address, data: '0x' } as const;
    const what = `filling nonce ${nonce}`;
    const [gasLimit, market] = [await transactions.estimate(what, request), await transactions.market()];
    const above = newest && feesAbove(feesOf(Transaction.from(newest.raw)), market, gasLimit, network, 0n);
    // Where what is signed has offered all that the caps allow, a node that still has it will mine it; one that has
    // dropped it takes what costs less.
    const fees = above ?? feesAt(market, gasLimit, network, 0n);
    if (fees === null) throw tooExpensive(what, network, market, gasLimit);
    const signed = await transactions.sign(request, nonce, gasLimit, fees);
    const stands = await book.addCandidate(nonce, candidates.length, { intent: null, ...signed });
    return [...candidates, stands];
  }

  /** Older ones first, so that a node which takes none of them again still has the newest. */
  async function offer(candidates: readonly Candidate[]): Promise<Reception> {
    const fillers = candidates.filter(({ intent }) => intent === null);
    let reception: Reception = { kind: 'refused', reason: 'nothing is signed for it' };
    for (const { raw } of fillers.length > 0 ? fillers : candidates)
      reception = await transactions.broadcast(raw);
    return reception;
  }

  /** A transaction that is not in the book, counts, and has this nonce. */
  async function stranger(nonce: number, candidates: readonly Candidate[]): Promise<Hex | null> {
    const by = (await transactions.minedUnder(nonce)) ?? null;
    if (by === null || candidates.some(({ hash }) => hash === by)) return null;
    return (await transactions.mined(by))?.counts ? by : null;
  }

  /** Signs the newest candidate's call again for more. @returns why it waits instead */
  async function raise(
    nonce: number,
    candidates: readonly Candidate[],
    what: string,
    spent: bigint,
  ): Promise<RoundtableError | null> {
    const newest = candidates.at(-1);
    if (newest === undefined) return null;
    const before = Transaction.from(newest.raw);
    const { gasLimit, value } = before;
    const market = await transactions.market();
    const fees = feesAbove(feesOf(before), market, gasLimit, network, spent);
    if (fees === null)
      return isCurrent(feesOf(before), market) ? null : tooExpensive(what, network, market, gasLimit);
    const request = { to: before.to as Address, data: before.data as Hex, value };
    const signed = await transactions.sign(request, nonce, gasLimit, fees);
    await book.addCandidate(nonce, candidates.length, { intent: newest.intent, ...signed });
    return null;
  }

  function noFunds(what: string, reason: string): RoundtableError {
    return new RoundtableError(
      'CHAIN_INSUFFICIENT_FUNDS',
      `${what}: ${address} cannot pay for the transaction (${reason}). Send it funds and repeat.`,
    );
  }

  function notMined(what: string, nonce: number, reception: Reception | null): RoundtableError {
    const said = reception === null ? '' : 'reason' in reception ? reception.reason : reception.kind;
    return new RoundtableError(
      'CHAIN_NOT_MINED',
      `${what}: its transaction with nonce ${nonce} did not count within ${timing.patienceMs / 1000} s (the endpoints: ${said || 'mined, too few blocks above'}). Repeat the call; it goes on with what was signed.`,
    );
  }
}
