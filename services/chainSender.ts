import type { Wallet } from 'ethers';
import type { Address } from '#contracts/deployment.js';
import { RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import { lowerCase } from './chain/lowerCase.js';
import {
  transactionsOf,
  type MinedTransaction,
  type SendingChain,
  type SignedTransaction,
  type TransactionRequest,
} from './chain/transactions.js';

/** mined: where it was last seen; a reorganisation may have undone that since. */
export interface Intent extends SignedTransaction {
  mined: { block: number; gasUsed: bigint } | null;
}

/** Signed transactions by what they are for. Ids are any text of at most 200 characters. */
export interface IntentStore {
  get(id: string): Promise<Intent | null>;
  /**
   * Stores a transaction on condition: with `replaces` null only where there is none yet, otherwise only in
   * place of the one with that hash. Gives what is stored afterwards, ours or another's.
   */
  put(id: string, transaction: SignedTransaction, replaces: Hex | null): Promise<Intent>;
  /** Notes that the transaction with this hash was mined; does nothing if another one is stored. */
  markMined(id: string, hash: Hex, mined: { block: number; gasUsed: bigint }): Promise<void>;
}

/** A transaction on the chain; gasUsed in gas. */
export interface Sent {
  hash: Hex;
  gasUsed: bigint;
  block: number;
}

export interface Sender {
  address: Address;
  /**
   * Sees to it that the request is on the chain, once for each intent however often it is called: signs it,
   * stores it, sends it, waits until it is mined. What was stored is sent again as the same bytes; a new one is
   * signed under the same intent only when those can no longer be mined, or were refused by the contract.
   *
   * @throws CHAIN_REVERTED, CHAIN_INSUFFICIENT_FUNDS, CHAIN_NOT_MINED, CHAIN_REFUSED, CHAIN_UNREACHABLE,
   *   CHAIN_WRONG_NETWORK
   */
  send(intentId: string, request: TransactionRequest): Promise<Sent>;
  /**
   * Sends again, as the same bytes, whatever of these intents a reorganisation has undone. Gives those that are
   * on the chain then, in the order in which they were signed; ids that were never stored are left out.
   */
  reconcile(intentIds: readonly string[]): Promise<(Sent & { intentId: string })[]>;
}

const minedWithinMs = 120_000;

/**
 * The only sender of transactions for one key: two would sign the same nonce for different things. Within a
 * process calls wait for each other; across processes the key's task queue (core/names.ts) sees to it.
 *
 * A transaction is stored under its intent and under its nonce before it leaves. After a crash or a
 * reorganisation the nonces tell which ones have to be mined before it.
 */
export function createSender(options: { chain: SendingChain; wallet: Wallet; intents: IntentStore }): Sender {
  const { chain, wallet, intents } = options;
  const transactions = transactionsOf(chain, wallet);
  const address = lowerCase(wallet.address as Address);
  const nonceId = (nonce: number) => `nonce/${chain.deployment.chainId}/${address}/${nonce}`;
  let turn: Promise<unknown> = Promise.resolve();

  return {
    address,
    send: (intentId, request) => inTurn(() => deliver(intentId, request)),
    reconcile: (intentIds) => inTurn(() => restore(intentIds)),
  };

  async function deliver(id: string, request: TransactionRequest): Promise<Sent> {
    const stored = await intents.get(id);
    let replaces: Hex | null = null;
    if (stored !== null) {
      const mined = await mine(id, stored);
      if (mined?.succeeded) return note(id, stored, mined);
      replaces = stored.hash;
    }
    for (let attempts = 0; attempts < 3; attempts += 1) {
      const signed: SignedTransaction = await sign(id, request, replaces);
      const mined = await broadcastUntilMined(id, signed);
      if (mined?.succeeded) return note(id, signed, mined);
      if (mined !== null) throw await transactions.refusal(id, request, mined.block);
      replaces = signed.hash;
    }
    throw new RoundtableError(
      'CHAIN_NOT_MINED',
      `${id}: its nonce went to other transactions of ${address} three times. Let only one process send with this key.`,
    );
  }

  async function restore(ids: readonly string[]): Promise<(Sent & { intentId: string })[]> {
    const stored = await Promise.all(ids.map(async (id) => ({ id, intent: await intents.get(id) })));
    const found = stored.flatMap(({ id, intent }) => (intent === null ? [] : [{ id, intent }]));
    const restored: (Sent & { intentId: string })[] = [];
    for (const { id, intent } of found.sort((left, right) => left.intent.nonce - right.intent.nonce)) {
      const mined = await mine(id, intent);
      if (mined?.succeeded) restored.push({ intentId: id, ...(await note(id, intent, mined)) });
    }
    return restored;
  }

  /** The intent comes first: a transaction that only its nonce knew would be signed twice after a crash here. */
  async function sign(
    id: string,
    request: TransactionRequest,
    replaces: Hex | null,
  ): Promise<SignedTransaction> {
    const signed = await transactions.sign(id, request, await nextNonce());
    const kept = await intents.put(id, signed, replaces);
    if (kept.hash === signed.hash) await intents.put(nonceId(signed.nonce), signed, null);
    return kept;
  }

  /** What was signed before and not mined yet goes first; then no nonce is given away twice. */
  async function nextNonce(): Promise<number> {
    const { mined, pending } = await transactions.counts();
    for (let nonce = mined; ; nonce += 1) {
      const stored = await intents.get(nonceId(nonce));
      if (stored !== null) await broadcastUntilMined(nonceId(nonce), stored);
      else if (nonce >= pending) return nonce;
    }
  }

  /** @returns null if the transaction can never be mined: another one has its nonce */
  async function mine(what: string, transaction: SignedTransaction): Promise<MinedTransaction | null> {
    const mined = await transactions.mined(transaction.hash);
    if (mined !== null) return mined;
    await restoreBefore(transaction.nonce);
    return broadcastUntilMined(what, transaction);
  }

  /**
   * A node mines the nonces of a key without gaps, and a reorganisation may have undone several. Where a
   * transaction of another program with this key was undone, an empty one to ourselves takes its place.
   */
  async function restoreBefore(nonce: number): Promise<void> {
    const { mined, pending } = await transactions.counts();
    for (let before = mined; before < nonce; before += 1) {
      const id = nonceId(before);
      let stored: SignedTransaction | null = await intents.get(id);
      if (stored === null && before < pending) continue;
      stored ??= await intents.put(
        id,
        await transactions.sign(id, { to: address, data: '0x' }, before),
        null,
      );
      await transactions.broadcast(id, stored.raw);
    }
  }

  async function broadcastUntilMined(
    what: string,
    transaction: SignedTransaction,
  ): Promise<MinedTransaction | null> {
    await transactions.broadcast(what, transaction.raw);
    const until = Date.now() + minedWithinMs;
    let taken = 0;
    for (let pause = 50; Date.now() < until; pause = Math.min(pause * 1.5, 1_000)) {
      const mined = await transactions.mined(transaction.hash);
      if (mined !== null) return mined;
      // Endpoints that share their load may count a transaction before they show it: one look is not enough.
      if ((await transactions.counts()).mined > transaction.nonce) taken += 1;
      if (taken === 3) return null;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    throw new RoundtableError(
      'CHAIN_NOT_MINED',
      `${what}: transaction ${transaction.hash} was not mined within ${minedWithinMs / 1000} s. Repeat the call; it sends the same bytes.`,
    );
  }

  async function note(id: string, { hash }: SignedTransaction, mined: MinedTransaction): Promise<Sent> {
    const { block, gasUsed } = mined;
    await intents.markMined(id, hash, { block, gasUsed });
    return { hash, gasUsed, block };
  }

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = turn.then(work);
    turn = result.catch(() => {});
    return result;
  }
}
