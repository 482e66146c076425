import { SigningKey } from 'ethers/crypto';
import { hashMessage, TypedDataEncoder } from 'ethers/hash';
import { computeAddress } from 'ethers/transaction';
import {
  enrolmentTypes,
  entryDomain,
  updateDomain,
  updateTypes,
  type EnrolmentStatement,
  type UpdateStatement,
} from '#core/eip712.js';
import type { ActPlace, SignedAct } from '#core/acts.js';
import { RoundtableError } from '#core/errors.js';
import type { Hex, RunnerId } from '#core/hex.js';
import { signAct, type Act } from '#services/acts.js';
import type { EntryPlace } from '#services/entrance.js';

/** The runner's identity: its name on chain and on everything it signs. Equal input gives equal signatures (RFC 6979). */
export interface RunnerKey {
  address: RunnerId;
  /** EIP-191 personal signature of a text, 65 bytes. */
  signText(text: string): Hex;
  /** EIP-712 signature of an update, 65 bytes. */
  signUpdate(domain: { chainId: number; jobs: Hex }, statement: UpdateStatement): Hex;
  /** EIP-712 signature of an entry at a stack, 65 bytes. */
  signEnrolment(place: EntryPlace, statement: EnrolmentStatement): Hex;
  /** What the runner does about itself at a stack. */
  signAct(place: ActPlace, act: Act): SignedAct;
}

/** @param source named when the key is not one */
export function runnerKey(privateKey: string, source = 'The key'): RunnerKey {
  let key: SigningKey;
  let address: RunnerId;
  try {
    if (!/^0x[0-9a-fA-F]{64}$/.test(privateKey)) throw new Error('form');
    key = new SigningKey(privateKey);
    address = computeAddress(key).toLowerCase() as RunnerId;
  } catch {
    // No cause: a library's message could hold the key.
    throw new RoundtableError(
      'KEY_INVALID',
      `${source} does not hold a private key: 0x and 64 hexadecimal digits, in range.`,
    );
  }
  return {
    address,
    signText: (value) => key.sign(hashMessage(value)).serialized as Hex,
    signUpdate: ({ chainId, jobs }, statement) =>
      key.sign(TypedDataEncoder.hash(updateDomain(chainId, jobs), updateTypes, statement)).serialized as Hex,
    signEnrolment: ({ chainId, consortium }, statement) =>
      key.sign(TypedDataEncoder.hash(entryDomain(chainId, consortium), enrolmentTypes, statement))
        .serialized as Hex,
    signAct: (place, act) => signAct(place, act, address, (digest) => key.sign(digest).serialized as Hex),
  };
}
