import { RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import { parseAuthorization, requestText, requestToleranceSeconds } from '#core/signedRequest.js';
import { sha256Hex } from '#services/sha256.js';
import { textSigner } from '#services/signatures.js';
import type { Table } from '#services/table.js';
import type { Limits } from '../limits.js';
import type { Membership } from './membership.js';

/** Who may make a request: anybody, a member, a registered runner, or one of the two. */
export type Signers = 'anybody' | 'member' | 'runner' | 'member or runner';

/** The signer of a request as far as its endpoint cares. */
export interface Signer {
  address: Hex;
  /** The organisation: the member itself, or the one the runner belongs to. */
  member: Hex;
}

export interface SignedParts {
  /** Address of the stack's member, which signatures are made for. */
  coordinator: Hex;
  membership: Membership;
  table: Pick<Table, 'useOnce'>;
  limits: Pick<Limits, 'signer'>;
}

export interface ReceivedRequest {
  method: string;
  /** Path with query, as sent. */
  path: string;
  body: Uint8Array;
  authorization: string | undefined;
}

/**
 * @param once refuses the same signed request a second time: for what is not harmless to repeat
 * @throws NOT_SIGNED, BAD_SIGNATURE, TOO_OLD, TOO_MANY, FORBIDDEN, CONFLICT, UNAVAILABLE when the chain does not answer
 */
export async function identifySigner(
  parts: SignedParts,
  request: ReceivedRequest,
  allowed: Exclude<Signers, 'anybody'>,
  once: boolean,
): Promise<Signer> {
  const { address, timestamp, signature } = parseAuthorization(request.authorization);
  const text = requestText({
    method: request.method,
    path: request.path,
    bodyHash: sha256Hex(request.body),
    timestamp,
    audience: parts.coordinator,
  });
  if (textSigner(text, signature) !== address)
    throw new RoundtableError(
      'BAD_SIGNATURE',
      `The signature is not one of ${address} over this method, path, body and time for the stack of ${parts.coordinator}.`,
    );
  const age = Math.abs(Date.now() / 1_000 - timestamp);
  if (age > requestToleranceSeconds)
    throw new RoundtableError(
      'TOO_OLD',
      `The request was signed ${Math.round(age)} s from now; ${requestToleranceSeconds} s are allowed. Check the clock.`,
    );
  parts.limits.signer(address);
  const signer = await findRole(parts.membership, address, allowed);
  if (once) {
    const id = sha256Hex(Buffer.from(`${address}\n${text}`));
    if (!(await parts.table.useOnce(id, timestamp + 2 * requestToleranceSeconds)))
      throw new RoundtableError('CONFLICT', 'This very request was made before. Sign it anew to repeat it.');
  }
  return signer;
}

/** @throws FORBIDDEN for somebody who is none of this on chain */
export async function findRole(
  membership: Membership,
  address: Hex,
  allowed: Exclude<Signers, 'anybody'>,
): Promise<Signer> {
  if (allowed !== 'runner' && (await membership.isMember(address))) return { address, member: address };
  if (allowed !== 'member') {
    const runner = await membership.runner(address);
    if (runner && runner.leftAt === null && runner.stake > 0n) return { address, member: runner.member };
  }
  throw new RoundtableError(
    'FORBIDDEN',
    `${address} is not registered on chain as a ${allowed}${allowed === 'member' ? '' : ' with a stake'}. Register it first.`,
  );
}
