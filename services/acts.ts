import { randomBytes } from 'node:crypto';
import type { ActionName, ActPlace, SignedAct } from '#core/acts.js';
import { actDomain, actTypes } from '#core/eip712.js';
import { toHex, type Hex } from '#core/hex.js';
import type { AccountReads } from './chain/accounts.js';
import { typedDataDigest, typedDataSigner } from './signatures.js';

/** What somebody wants done. */
export interface Act {
  action: ActionName;
  /** A job, a runner or a queue, as the action has it. */
  target: string;
  reason?: string;
}

/** Seconds for which what is signed here is good: it is sent at once. */
const goodFor = 120;

/** @param sign over 32 bytes, with the key of `signer` */
export function signAct(
  place: ActPlace,
  { action, target, reason = '' }: Act,
  signer: Hex,
  sign: (digest: Hex) => Hex,
): SignedAct {
  const { chainId, consortium, stack, url, now } = place;
  const nonce = toHex(randomBytes(32));
  const statement = { stack, url, action, target, reason, nonce, issued: now, expiry: now + goodFor };
  return { statement, signer, signature: sign(actDigest({ chainId, consortium }, statement)) };
}

/**
 * Whether an act was signed by whom it names: with the key of that address, or, where a contract is there, as the
 * contract says now (ERC-1271).
 */
export async function isActSigned(
  place: Pick<ActPlace, 'chainId' | 'consortium'>,
  act: SignedAct,
  accounts: AccountReads,
): Promise<boolean> {
  if (actSigner(place, act) === act.signer) return true;
  return accounts.acceptsSignature(act.signer, actDigest(place, act.statement), act.signature);
}

const actDigest = (
  { chainId, consortium }: Pick<ActPlace, 'chainId' | 'consortium'>,
  statement: SignedAct['statement'],
): Hex => typedDataDigest(actDomain(chainId, consortium), actTypes, statement);

/** Whose key signed an act; null for nobody's. */
export function actSigner(
  { chainId, consortium }: Pick<ActPlace, 'chainId' | 'consortium'>,
  { statement, signature }: SignedAct,
): Hex | null {
  return typedDataSigner(actDomain(chainId, consortium), actTypes, statement, signature);
}
