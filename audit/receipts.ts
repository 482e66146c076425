/**
 * A coordinator's receipts before the contract (contracts/ReceiptJudge.sol): the question where an update is that was
 * signed for, and the coordinator's answer.
 */
import type { Deployment } from '#contracts/deployment.js';
import type { ChainCall } from '#contracts/typed.js';
import { receiptTypes, updateDomain, type ReceiptStatement, type UpdateStatement } from '#core/eip712.js';
import type { Hex } from '#core/hex.js';
import { chainCalls } from '#services/chainCalls.js';
import { typedDataSigner } from '#services/signatures.js';
import type { Accusation } from './accusation.js';
import type { Evidence } from './evidence.js';

export interface SignedReceipt {
  receipt: ReceiptStatement;
  /** Of the coordinator, r ‖ s ‖ v. */
  signature: Hex;
}

/** One of a runner's statements with its signature. */
export interface SignedUpdate {
  update: UpdateStatement;
  signature: Hex;
}

/** Whoever signed a receipt; only the coordinator's is worth anything. */
export function receiptSigner(
  { chainId, jobs }: Deployment,
  { receipt, signature }: SignedReceipt,
): Hex | null {
  return typedDataSigner(updateDomain(chainId, jobs), receiptTypes, receipt, signature);
}

/**
 * The update of a receipt is not in its round: a question that convicts unless it is answered.
 * @param evidence of the closed round. @param previous word of the closing before it.
 * @returns null when the update is there
 */
export function leftOut(
  deployment: Deployment,
  { receipt, signature }: SignedReceipt,
  evidence: Evidence,
  previous: Hex,
): Pick<Accusation, 'what' | 'kind' | 'call'> | null {
  if (headerOf(evidence, receipt) >= 0) return null;
  const call = chainCalls(deployment).judges.receipts.askInclusion(
    { ...receipt, round: BigInt(receipt.round) },
    signature,
    previous,
  );
  return {
    what: `the update that runner ${receipt.runner} has a receipt for is left out`,
    kind: 'question',
    call,
  };
}

/**
 * The coordinator's answer: the runner's header, or else two statements that it signed for the same opening.
 * @returns null when there is no answer, and the coordinator is convicted
 */
export function answerReceipt(
  deployment: Deployment,
  receipt: ReceiptStatement,
  evidence: Evidence,
  previous: Hex,
  statements: readonly SignedUpdate[],
): ChainCall | null {
  const { receipts } = chainCalls(deployment).judges;
  const index = headerOf(evidence, receipt);
  if (index >= 0) {
    const { place, child } = evidence.placeOf(index);
    return receipts.answerIncluded(place, child, evidence.leaf(index));
  }
  const [one, other] = statements.filter(({ update }) => update.openHash === receipt.openHash);
  if (!one || !other) return null;
  return receipts.answerConflict(
    receipt.runner,
    receipt.updateRoot,
    previous,
    signedInput(one),
    signedInput(other),
  );
}

function headerOf({ facts }: Evidence, { runner, updateRoot }: ReceiptStatement): number {
  return facts.headers.findIndex((header) => header.runner === runner && header.updateRoot === updateRoot);
}

function signedInput({ update, signature }: SignedUpdate) {
  const { job, round, openHash, updateRoot, dimension, samples, steps } = update;
  return {
    update: {
      job,
      round: BigInt(round),
      openHash,
      updateRoot,
      dimension: BigInt(dimension),
      samples: BigInt(samples),
      steps: BigInt(steps),
    },
    signature,
  };
}
