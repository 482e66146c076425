/** Files accusations: a commitment first, so that nobody can copy a report and take its reward. */
import { AbiCoder, keccak256 } from 'ethers';
import { dataJudgeAbi } from '#contracts/generated/DataJudge.js';
import { rewardJudgeAbi } from '#contracts/generated/RewardJudge.js';
import { sumJudgeAbi } from '#contracts/generated/SumJudge.js';
import { typedContract } from '#contracts/typed.js';
import type { Hex } from '#core/hex.js';
import type { Chain } from '#services/chain.js';
import type { Sender, Sent } from '#services/chainSender.js';
import type { Accusation } from './accusation.js';
import type { RoundQuestion } from './questions.js';

/** The transaction that counts, and the commitment that had to come first. */
export interface Filed extends Sent {
  before: Sent[];
}

/**
 * Sends an accusation with the reporter's key. A report
 * convicts in it; a question convicts by `expire` when its time is over. Each is sent once, however often this is
 * called.
 * @throws CHAIN_REVERTED when the judge finds nothing wrong, or the round can no longer be disputed
 */
export async function fileAccusation(
  chain: Pick<Chain, 'provider'>,
  reporter: Sender,
  { kind, call, question }: Pick<Accusation, 'what' | 'kind' | 'call'> & { question?: Hex },
): Promise<Filed> {
  const name = keccak256(call.data);
  if (kind === 'question') {
    const judge = typedContract(dataJudgeAbi, call.to, chain.provider);
    // The same words can be asked about another closing, or publication, of the same number.
    const asked = await reporter.send(`ask/${question ?? name}`, { ...call, value: await judge.read.bond() });
    return { ...asked, before: [] };
  }
  const accusation = keccak256(
    AbiCoder.defaultAbiCoder().encode(['address', 'bytes32'], [reporter.address, name]),
  ) as Hex;
  // Every judge has the same commit().
  const judge = typedContract(sumJudgeAbi, call.to, chain.provider);
  const committed = await judge.read.accusations(accusation);
  const before =
    committed === 0n ? [await reporter.send(`commit/${accusation}`, judge.call.commit(accusation))] : [];
  return { ...(await reporter.send(`report/${accusation}`, call)), before };
}

/** Ends a question that was not answered in time: whoever coordinates the round is convicted, the asker is paid. */
export async function endQuestion(
  { deployment }: Pick<Chain, 'deployment'>,
  sender: Sender,
  { id, judge = 'data' }: Pick<RoundQuestion, 'id' | 'judge'>,
): Promise<Sent> {
  const { call } = typedContract(dataJudgeAbi, deployment.judges[judge]);
  return sender.send(`expire/${id}`, call.expire(id));
}

/** Ends a question about an epoch that was not answered in time: the epoch is revoked, the asker is paid. */
export async function endEpochQuestion(
  { deployment }: Pick<Chain, 'deployment'>,
  sender: Sender,
  id: Hex,
): Promise<Sent> {
  const { call } = typedContract(rewardJudgeAbi, deployment.judges.rewards);
  return sender.send(`expire/${id}`, call.expireEpoch(id));
}
