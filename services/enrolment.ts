import { enrolmentTypes, entryDomain } from '#core/eip712.js';
import { RoundtableError } from '#core/errors.js';
import { fromHex, type Hex } from '#core/hex.js';
import { longestEntrySeconds, type StackEntry } from '#core/entryMessages.js';
import { certificateExpiry, certificateFingerprint } from './certificate.js';
import type { EntryPlace } from './entrance.js';
import type { Entry } from './table/entries.js';
import { agreeX25519, generateX25519Key } from './x25519.js';
import { typedDataSigner } from './signatures.js';

/**
 * Whether a runner signed that this certificate stands for it at this stack, for a time that is not too long.
 * Whether its nonce has risen says the table.
 * @param who the stack's member, and the runner that the request comes from
 * @throws BAD_SIGNATURE, TOO_OLD, INVALID_INPUT
 */
export function checkEntry(
  { statement, certificate, signature }: StackEntry,
  place: EntryPlace,
  who: { stack: Hex; runner: Hex },
): Entry {
  if (statement.stack !== who.stack || statement.runner !== who.runner)
    throw new RoundtableError(
      'BAD_SIGNATURE',
      `The statement is of runner ${statement.runner} for the stack of ${statement.stack}; expected ${who.runner} for ${who.stack}.`,
    );
  if (
    typedDataSigner(entryDomain(place.chainId, place.consortium), enrolmentTypes, statement, signature) !==
    who.runner
  )
    throw new RoundtableError(
      'BAD_SIGNATURE',
      `The enrolment was not signed by ${who.runner} for consortium ${place.consortium} on chain ${place.chainId}.`,
    );
  if (certificateFingerprint(certificate) !== statement.tlsFingerprint)
    throw new RoundtableError(
      'BAD_SIGNATURE',
      'The certificate has another fingerprint than the statement names.',
    );
  const now = Date.now() / 1_000;
  if (statement.expiry <= now)
    throw new RoundtableError('TOO_OLD', 'The enrolment has expired. Sign a new one, and check the clock.');
  if (statement.expiry > now + longestEntrySeconds)
    throw new RoundtableError(
      'INVALID_INPUT',
      `The enrolment would last ${Math.round((statement.expiry - now) / 3_600)} h; ${longestEntrySeconds / 3_600} h are the most.`,
    );
  if (certificateExpiry(certificate) > statement.expiry)
    throw new RoundtableError('INVALID_INPUT', 'The certificate lasts longer than the enrolment says.');
  // A key of low order would break only when the first task is encrypted for it.
  agreeX25519(generateX25519Key().privateKey, fromHex(statement.sealingKey));
  return {
    runner: statement.runner,
    fingerprint: statement.tlsFingerprint,
    sealingKey: statement.sealingKey,
    expiresAt: statement.expiry,
  };
}
