import { Transaction, type Wallet } from 'ethers';
import type { Address } from '#contracts/deployment.js';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import { costOf, feesAt, tooExpensive } from './chain/fees.js';
import { lowerCase } from './chain/lowerCase.js';
import type { Network } from './chain/networks.js';
import { createNonces, type Timing } from './chain/nonces.js';
import {
  transactionsOf,
  type Fees,
  type MinedTransaction,
  type SendingChain,
  type TransactionRequest,
} from './chain/transactions.js';
import { intentBook, type IntentStore } from './intentBook.js';

/** A transaction on the chain; gasUsed in gas. */
export interface Sent {
  hash: Hex;
  gasUsed: bigint;
  block: number;
}

export interface Sender {
  address: Address;
  /**
   * Sees to it that the request is on the chain, once for each intent however often it is called and by however
   * many processes: signs it, stores it, sends it, waits until it counts. What was stored is sent again as the same
   * bytes; a stuck one is replaced under the same nonce by one that pays more; a new nonce is used only when the old
   * one is proved to have gone to another transaction, or the contract refused what was mined.
   *
   * @param intentId any text of at most 180 characters
   * @throws CHAIN_REVERTED, CHAIN_INSUFFICIENT_FUNDS, CHAIN_TOO_EXPENSIVE, CHAIN_NOT_MINED, CHAIN_DISAGREES,
   *   CHAIN_REFUSED, CHAIN_UNREACHABLE, CHAIN_WRONG_NETWORK
   */
  send(intentId: string, request: TransactionRequest): Promise<Sent>;
  /**
   * Sees to it that these intents are on the chain, also after a reorganisation. Gives those that are, in the order
   * of their nonces; ids that were never stored, or whose call the contract refused, are left out.
   */
  reconcile(intentIds: readonly string[]): Promise<(Sent & { intentId: string })[]>;
  /** Sends again whatever of this key a reorganisation has undone. @returns whether there was anything */
  heal(): Promise<boolean>;
}

/**
 * Sends transactions for one key. Any number of senders may share the key if they share the store: what stands in
 * it is written once, so the first to write an intent's nonce and a nonce's transaction decides for all of them
 * (intentBook.ts). Nothing is handed to a node before it is stored, and what nodes say about nonces is never a
 * reason to sign twice.
 */
export function createSender(options: {
  chain: SendingChain;
  wallet: Wallet;
  intents: IntentStore;
  timing?: Timing;
}): Sender {
  const { chain, wallet } = options;
  const { network } = chain;
  const timing = options.timing ?? timingOf(network);
  const address = lowerCase(wallet.address as Address);
  const book = intentBook(options.intents, chain.deployment.chainId, address);
  const transactions = transactionsOf(chain, wallet);
  const nonces = createNonces({ transactions, book, network, address, timing });
  let turn: Promise<unknown> = Promise.resolve();

  return {
    address,
    heal: nonces.heal,

    async send(id, request) {
      // What was undone comes first: the request may build on it.
      await nonces.heal();
      let signedHere = false;
      let stranger = false;
      for (let tries = 0; tries < mostTries; tries += 1) {
        const attempts = await book.attempts(id);
        const nonce = attempts.at(-1);
        if (nonce !== undefined) {
          const [first] = await book.candidates(nonce);
          if (first === undefined) {
            await sign(id, request, { attempts: attempts.slice(0, -1), nonce });
            signedHere = true;
            continue;
          }
          if (first.intent === id) {
            const outcome = await nonces.pursue(nonce, id, await spentOn(attempts.slice(0, -1)));
            if (outcome.kind === 'mined') {
              const { mined } = outcome;
              if (mined.succeeded) return note(id, mined);
              if (signedHere || !outcome.before) throw await transactions.refusal(id, request, mined.block);
            } else stranger = true;
          }
        }
        await sign(id, request, { attempts, nonce: null, stranger });
        signedHere = true;
      }
      throw new RoundtableError(
        'CHAIN_NOT_MINED',
        `${id}: ${mostTries} nonces in a row went to other transactions of ${address}. Let nothing else send with this key.`,
      );
    },

    async reconcile(ids) {
      const known = await Promise.all(
        ids.map(async (id) => ({ id, nonce: (await book.attempts(id)).at(-1) })),
      );
      const found = known.flatMap(({ id, nonce }) => (nonce === undefined ? [] : [{ id, nonce }]));
      const restored: (Sent & { intentId: string })[] = [];
      for (const { id, nonce } of found.sort((left, right) => left.nonce - right.nonce)) {
        const [first] = await book.candidates(nonce);
        if (first?.intent !== id) continue;
        const outcome = await nonces.pursue(nonce, id, 0n);
        if (outcome.kind === 'mined' && outcome.mined.succeeded)
          restored.push({ intentId: id, ...(await note(id, outcome.mined)) });
      }
      return restored;
    },
  };

  /**
   * Gives an intent a nonce, and the nonce its first transaction. Whoever was faster at either stays; the caller
   * looks at what stands there.
   * @param of the nonces of earlier attempts; the nonce of this one where it has one already; whether a program
   * outside this store was seen to send with the key
   */
  async function sign(
    id: string,
    request: TransactionRequest,
    of: { attempts: readonly number[]; nonce: number | null; stranger?: boolean },
  ): Promise<void> {
    const gasLimit = await estimate(id, request);
    const fees = await affordable(id, gasLimit, await spentOn(of.attempts));
    const work = turn.then(async () => {
      const nonce =
        of.nonce ??
        (await book.addAttempt(
          id,
          of.attempts.length,
          await nonces.next({ stranger: of.stranger ?? false }),
        ));
      const signed = await transactions.sign(request, nonce, gasLimit, fees);
      await book.addCandidate(nonce, 0, { intent: id, ...signed });
    });
    // One after the other, so that what is sent together does not compete for one nonce.
    turn = work.catch(() => {});
    return work;
  }

  /** Where the contract would refuse, a reorganisation may just have undone what the request builds on. */
  async function estimate(id: string, request: TransactionRequest): Promise<bigint> {
    for (let tries = 1; ; tries += 1)
      try {
        return await transactions.estimate(id, request);
      } catch (error) {
        if (!isRoundtableError(error, 'CHAIN_REVERTED') || tries === 5) throw error;
        if (!(await nonces.heal()) && tries > 1) throw error;
      }
  }

  async function affordable(id: string, gasLimit: bigint, spent: bigint): Promise<Fees> {
    const until = Date.now() + timing.patienceMs;
    for (let pause = timing.pauseMs; ; pause = Math.min(pause * 1.5, timing.longestPauseMs)) {
      const market = await transactions.market();
      const fees = feesAt(market, gasLimit, network, spent);
      if (fees !== null) return fees;
      if (Date.now() >= until) throw tooExpensive(id, network, market, gasLimit);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  /** What earlier attempts may have cost, whichever of their transactions was mined. */
  async function spentOn(attempts: readonly number[]): Promise<bigint> {
    let spent = 0n;
    for (const nonce of attempts) {
      const costs = (await book.candidates(nonce)).map(({ raw }) => costOf(Transaction.from(raw)));
      spent += costs.reduce((most, cost) => (cost > most ? cost : most), 0n);
    }
    return spent;
  }

  async function note(id: string, { hash, block, gasUsed }: MinedTransaction): Promise<Sent> {
    await book.end(id, { hash, block, gasUsed });
    return { hash, gasUsed, block };
  }
}

const mostTries = 20;

/** What suits the chain's blocks: quick where a block comes at once, unhurried where each question costs money. */
function timingOf({ blockSeconds, confirmations }: Network): Timing {
  return {
    pauseMs: Math.max(5, blockSeconds * 100),
    longestPauseMs: Math.max(200, Math.min(1_000, blockSeconds * 500)),
    stuckAfterMs: Math.max(10_000, blockSeconds * 15_000),
    patienceMs: Math.max(120_000, 3_000 * confirmations * blockSeconds),
  };
}
