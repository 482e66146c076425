/**
 * A coordinator's receipts before the contract (contracts/ReceiptJudge.sol): the question where an update is that was
 * signed for, and the coordinator's answer.
 */
import { AbiCoder, keccak256 } from 'ethers';
import type { Deployment } from '#contracts/deployment.js';
import { receiptJudgeAbi } from '#contracts/generated/ReceiptJudge.js';
import { typedContract } from '#contracts/typed.js';
import type { ChainCall } from '#contracts/typed.js';
import { receiptTypes, updateDomain, type ReceiptStatement, type UpdateStatement } from '#core/eip712.js';
import type { Hex } from '#core/hex.js';
import type { KeptReceipt } from '#core/receipts.js';
import { chainCalls } from '#services/chainCalls.js';
import { typedDataSigner } from '#services/signatures.js';
import type { Accusation } from './accusation.js';
import type { SignedHeader } from './accused.js';
import type { Evidence } from './evidence.js';
import type { RoundQuestion } from './questions.js';

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
  { chainId, jobs }: Pick<Deployment, 'chainId' | 'jobs'>,
  { receipt, signature }: SignedReceipt,
): Hex | null {
  return typedDataSigner(updateDomain(chainId, jobs), receiptTypes, receipt, signature);
}

/**
 * The update of a receipt is not in its round: a question that convicts unless it is answered.
 * @param evidence of the closed round; null where nobody can see it. @param previous word of the closing before it.
 * @returns null when the update is there
 */
export function leftOut(
  { judges }: { judges: Pick<Deployment['judges'], 'receipts'> },
  { receipt, signature }: SignedReceipt,
  evidence: Evidence | null,
  previous: Hex,
): Pick<Accusation, 'what' | 'kind' | 'call'> | null {
  if (evidence && headerOf(evidence, receipt) >= 0) return null;
  const call = typedContract(receiptJudgeAbi, judges.receipts).call.askInclusion(
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
  const [one, ...others] = statements.filter(({ update }) => update.openHash === receipt.openHash);
  const other = others.find(({ update }) => one && !sameUpdate(update, one.update));
  if (!one || !other) return null;
  return receipts.answerConflict(
    receipt.runner,
    receipt.updateRoot,
    previous,
    signedInput(one),
    signedInput(other),
  );
}

/** What the contract calls a question about a receipt. */
export function receiptSubject({ runner, updateRoot }: Pick<ReceiptStatement, 'runner' | 'updateRoot'>): Hex {
  return keccak256(abi.encode(['string', 'address', 'bytes32'], ['receipt', runner, updateRoot])) as Hex;
}

/**
 * The answer to a question that names a receipt by its hash alone.
 * @param kept receipts of the round that this coordinator has signed
 * @returns null when it is about none that the coordinator knows of, or there is no answer
 */
export function answerInclusion(
  deployment: Deployment,
  { subject, round: { job, round } }: Pick<RoundQuestion, 'subject' | 'round'>,
  closed: {
    evidence: Evidence;
    headers: readonly SignedHeader[];
    openHash: Hex;
    previous: Hex;
    dimension: number;
  },
  kept: readonly KeptReceipt[],
): ChainCall | null {
  const { evidence, headers, openHash, previous, dimension } = closed;
  const own = kept.filter((receipt) => receipt.openHash === openHash);
  const asked = [...headers, ...own].find((candidate) => receiptSubject(candidate) === subject);
  if (!asked) return null;
  const { runner, updateRoot } = asked;
  const statement = { job, round, openHash };
  const statements = [
    ...headers.map(({ samples, steps, signature, ...header }) => ({
      runner: header.runner,
      update: { ...statement, updateRoot: header.updateRoot, dimension, samples, steps },
      signature,
    })),
    ...own.map(({ update: { signature, ...update }, ...receipt }) => ({
      runner: receipt.runner,
      update: { ...statement, updateRoot: receipt.updateRoot, ...update },
      signature,
    })),
  ].filter((signed) => signed.runner === runner);
  return answerReceipt(deployment, { ...statement, runner, updateRoot }, evidence, previous, statements);
}

function sameUpdate(one: UpdateStatement, other: UpdateStatement): boolean {
  return (
    one.updateRoot === other.updateRoot &&
    BigInt(one.samples) === BigInt(other.samples) &&
    BigInt(one.steps) === BigInt(other.steps) &&
    BigInt(one.dimension) === BigInt(other.dimension)
  );
}

const abi = AbiCoder.defaultAbiCoder();

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
