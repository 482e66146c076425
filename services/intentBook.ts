import { z } from 'zod';
import type { Hex } from '#core/hex.js';
import { hash32 } from '#core/schema.js';
import type { SignedTransaction } from './chain/transactions.js';

/**
 * Books of lines that are written once: the first to write at a place decides what stands there, for everybody and
 * for good. Books and places are text of at most 250 characters; places ascend as text.
 */
export interface IntentStore {
  /** Writes where nothing stands yet. @returns what stands there now: this line, or another's */
  write(book: string, place: string, line: string): Promise<string>;
  /** The lines of a book whose places begin with `prefix`, ascending. */
  read(book: string, prefix: string): Promise<string[]>;
  /** The highest place of a book. */
  last(book: string): Promise<string | null>;
}

/** A transaction signed for a nonce; `intent` is what it is for, null where it only fills the nonce. */
export interface Candidate extends SignedTransaction {
  intent: string | null;
}

/** The first transaction of an intent that was seen to count. */
export interface Ended {
  hash: Hex;
  block: number;
  /** Gas. */
  gasUsed: bigint;
}

/**
 * What one key has signed. An intent has attempts, each a nonce; a nonce has candidates, of which the chain mines one.
 * An attempt names its nonce before the nonce has a candidate, so a crash leaves no transaction that its intent does
 * not know of; a nonce belongs to whoever wrote its first candidate, so two senders never sign it for two things.
 */
export interface IntentBook {
  /** The nonces that were tried for an intent, oldest first. */
  attempts(intent: string): Promise<number[]>;
  /** @param number from 0. @returns the nonce of that attempt: this one, or what another sender wrote */
  addAttempt(intent: string, number: number, nonce: number): Promise<number>;
  /** Oldest first. */
  candidates(nonce: number): Promise<Candidate[]>;
  /** @param place from 0 @returns the candidate at that place: this one, or what another sender wrote */
  addCandidate(nonce: number, place: number, candidate: Candidate): Promise<Candidate>;
  /** The highest nonce that has a candidate. */
  lastNonce(): Promise<number | null>;
  /** Notes how an intent ended; later notes change nothing. */
  end(intent: string, ended: Ended): Promise<void>;
  ended(intent: string): Promise<Ended | null>;
}

export function intentBook(store: IntentStore, chainId: number, address: Hex): IntentBook {
  const account = `${chainId}/${address}`;
  const nonces = `nonces/${account}`;
  const book = (intent: string) => `intents/${account}/${intent}`;
  return {
    attempts: async (intent) =>
      (await store.read(book(intent), 'attempt/')).map((line) => parse(nonce, line)),
    addAttempt: async (intent, number, value) =>
      parse(nonce, await store.write(book(intent), `attempt/${padded(number, 4)}`, JSON.stringify(value))),
    candidates: async (value) =>
      (await store.read(nonces, `${padded(value, 12)}/`)).map((line) => parse(candidate, line)),
    addCandidate: async (value, place, entry) =>
      parse(
        candidate,
        await store.write(nonces, `${padded(value, 12)}/${padded(place, 4)}`, JSON.stringify(entry)),
      ),
    lastNonce: async () => {
      const place = await store.last(nonces);
      return place === null ? null : Number.parseInt(place, 10);
    },
    end: async (intent, { hash, block, gasUsed }) => {
      await store.write(book(intent), 'ended', JSON.stringify({ hash, block, gasUsed: String(gasUsed) }));
    },
    ended: async (intent) => {
      const [line] = await store.read(book(intent), 'ended');
      return line === undefined ? null : parse(ended, line);
    },
  };
}

const nonce = z.number().int().min(0);

const candidate = z.strictObject({
  intent: z.string().nullable(),
  raw: z
    .string()
    .regex(/^0x[0-9a-f]+$/)
    .transform((value) => value as Hex),
  hash: hash32,
});

const ended = z.strictObject({
  hash: hash32,
  block: z.number().int().min(0),
  gasUsed: z.string().regex(/^\d+$/).transform(BigInt),
});

const parse = <T extends z.ZodType>(schema: T, line: string): z.output<T> => schema.parse(JSON.parse(line));
const padded = (value: number, digits: number) => String(value).padStart(digits, '0');
