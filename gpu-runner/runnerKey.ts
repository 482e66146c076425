import {
  enrolmentTypes,
  entryDomain,
  sealTypes,
  updateDomain,
  updateTypes,
  type EnrolmentStatement,
  type SealStatement,
  type UpdateStatement,
} from '#core/eip712.js';
import type { ActPlace, SignedAct } from '#core/acts.js';
import { RoundtableError } from '#core/errors.js';
import { fromHex, type Hex, type RunnerId } from '#core/hex.js';
import { signAct, type Act } from '#services/acts.js';
import type { EntryPlace } from '#services/entrance.js';
import { addressOf, isPrivateKey, signDigest } from '#services/secp256k1.js';
import { textDigest, typedDataDigest } from '#services/signatures.js';

/** The runner's identity: its name on chain and on everything it signs. Equal input gives equal signatures (RFC 6979). */
export interface RunnerKey {
  address: RunnerId;
  /** EIP-191 personal signature of a text, 65 bytes. */
  signText(text: string): Hex;
  /** EIP-712 signature of an update, 65 bytes. */
  signUpdate(domain: { chainId: number; jobs: Hex }, statement: UpdateStatement): Hex;
  /** EIP-712 signature of an update's seal, 65 bytes. */
  signSeal(domain: { chainId: number; jobs: Hex }, statement: SealStatement): Hex;
  /** EIP-712 signature of an entry at a stack, 65 bytes. */
  signEnrolment(place: EntryPlace, statement: EnrolmentStatement): Hex;
  /** What the runner does about itself at a stack. */
  signAct(place: ActPlace, act: Act): SignedAct;
}

/** @param source named when the key is not one */
export function runnerKey(privateKey: string, source = 'The key'): RunnerKey {
  // No word of what it was: a message could hold the key.
  const key = /^0x[0-9a-fA-F]{64}$/.test(privateKey) ? fromHex(privateKey, 32) : new Uint8Array(32);
  if (!isPrivateKey(key))
    throw new RoundtableError(
      'KEY_INVALID',
      `${source} does not hold a private key: 0x and 64 hexadecimal digits, in range.`,
    );
  const address: RunnerId = addressOf(key);
  const sign = (digest: Hex): Hex => signDigest(key, digest);
  return {
    address,
    signText: (value) => sign(textDigest(value)),
    signUpdate: ({ chainId, jobs }, statement) =>
      sign(typedDataDigest(updateDomain(chainId, jobs), updateTypes, statement)),
    signSeal: ({ chainId, jobs }, statement) =>
      sign(typedDataDigest(updateDomain(chainId, jobs), sealTypes, statement)),
    signEnrolment: ({ chainId, consortium }, statement) =>
      sign(typedDataDigest(entryDomain(chainId, consortium), enrolmentTypes, statement)),
    signAct: (place, act) => signAct(place, act, address, sign),
  };
}
