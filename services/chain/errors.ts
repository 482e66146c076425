import { Interface, isCallException, isError, type ErrorDescription } from 'ethers';
import { consortiumAbi } from '#contracts/generated/Consortium.js';
import { dataJudgeAbi } from '#contracts/generated/DataJudge.js';
import { jobsAbi } from '#contracts/generated/Jobs.js';
import { leafJudgeAbi } from '#contracts/generated/LeafJudge.js';
import { receiptJudgeAbi } from '#contracts/generated/ReceiptJudge.js';
import { rewardJudgeAbi } from '#contracts/generated/RewardJudge.js';
import { rewardsAbi } from '#contracts/generated/Rewards.js';
import { sealJudgeAbi } from '#contracts/generated/SealJudge.js';
import { sumJudgeAbi } from '#contracts/generated/SumJudge.js';
import { tokenAbi } from '#contracts/generated/Token.js';
import { RoundtableError } from '#core/errors.js';
import { oneLine } from '#core/printable.js';

/** Errors of all contracts: a revert may come from a contract that the called one called. */
const errors = new Interface(
  [
    ...jobsAbi,
    ...rewardsAbi,
    ...consortiumAbi,
    ...tokenAbi,
    ...sumJudgeAbi,
    ...leafJudgeAbi,
    ...dataJudgeAbi,
    ...rewardJudgeAbi,
    ...receiptJudgeAbi,
    ...sealJudgeAbi,
  ].filter((entry) => entry.type === 'error'),
);

/**
 * What ethers or a node threw, as an error of ours.
 * @param what was being done, for the message: 'Opening round 3'
 */
export function chainError(error: unknown, what: string): Error {
  if (error instanceof RoundtableError) return error;
  if (isCallException(error)) return revertError(error.data, what, error);
  if (isError(error, 'INSUFFICIENT_FUNDS'))
    return new RoundtableError(
      'CHAIN_INSUFFICIENT_FUNDS',
      `${what}: the account cannot pay for the transaction (${nodeReason(error)}). Send it funds and repeat.`,
      { cause: error },
    );
  if (isError(error, 'BAD_DATA') && error.value === '0x')
    return new RoundtableError(
      'CHAIN_WRONG_NETWORK',
      `${what}: there is no such contract on this chain. Correct CHAIN_DEPLOYMENT, or deploy the contracts again.`,
      { cause: error },
    );
  return new RoundtableError('CHAIN_REFUSED', `${what}: ${nodeReason(error)}. Repeating is safe.`, {
    cause: error,
  });
}

/** @param data of the revert: a selector and its arguments, or nothing. */
export function revertError(data: string | null | undefined, what: string, cause?: unknown): RoundtableError {
  const parsed = data === null || data === undefined || data === '0x' ? null : parseError(data);
  if (parsed === null)
    return new RoundtableError('CHAIN_REVERTED', `${what}: the contract refused it without saying why.`, {
      cause,
    });
  const inputs = parsed.fragment.inputs.map((input, index) => [
    input.name,
    String(parsed.args[index] as unknown),
  ]);
  const text = inputs.map(([name, value]) => `${name} ${value}`).join(', ');
  return new RoundtableError(
    'CHAIN_REVERTED',
    `${what}: the contract refused it with ${parsed.name}(${text}). docs/contracts.md says what each means.`,
    { details: { error: parsed.name, arguments: Object.fromEntries(inputs) }, cause },
  );
}

/** Null for what none of our contracts throws; a node may say anything. */
function parseError(data: string): ErrorDescription | null {
  try {
    return errors.parseError(data);
  } catch {
    return null;
  }
}

/** The node's own words, which ethers keeps at different depths. */
export function nodeReason(error: unknown): string {
  for (let inner: unknown = error; typeof inner === 'object' && inner !== null;) {
    const { info, error: nested, message } = inner as { info?: unknown; error?: unknown; message?: unknown };
    const next: unknown = info ?? nested;
    if (next === undefined || next === null)
      return typeof message === 'string' ? oneLine(message) : 'unknown reason';
    inner = next;
  }
  return oneLine(String(error));
}
