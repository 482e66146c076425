import type { Wallet } from 'ethers';
import { sealListTypes, sealTypes, updateDomain } from '#core/eip712.js';
import type { Hex, Sha256Hex } from '#core/hex.js';
import { sealListHash, sealOf, type SealList, type SignedSeal } from '#core/seal.js';
import type { SealedRound } from '#services/seals.js';
import { sha256, sha256Hex } from '#services/sha256.js';
import { signTypedData } from '#services/signatures.js';
import { keyOf } from './receipts.js';

const addressOf = ({ address }: Wallet): Hex => address.toLowerCase() as Hex;
const domainOf = ({ domain }: SealedRound) => updateDomain(domain.chainId, domain.jobs);

/** A salt of its own for each runner and round. */
export const saltOf = (wallet: Wallet, round: number): Sha256Hex =>
  sha256Hex(new TextEncoder().encode(`${wallet.address} ${round}`));

/** What a runner seals. @param by who signs it, if not the runner */
export function sealedBy(
  wallet: Wallet,
  round: SealedRound,
  updateRoot: Sha256Hex,
  by: Wallet = wallet,
): SignedSeal {
  const runner = addressOf(wallet);
  const { job, round: number, openHash } = round.opening;
  const seal = sealOf(sha256, updateRoot, runner, saltOf(wallet, number));
  const statement = { job, round: number, openHash, seal };
  return { runner, seal, signature: signTypedData(keyOf(by), domainOf(round), sealTypes, statement) };
}

/** A coordinator's signature of all seals of a round. */
export function listSignedBy(wallet: Wallet, round: SealedRound, list: SealList): Hex {
  const { job, round: number, openHash } = round.opening;
  const statement = { job, round: number, openHash, list: sealListHash(sha256, list) };
  return signTypedData(keyOf(wallet), domainOf(round), sealListTypes, statement);
}
