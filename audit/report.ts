/** Files accusations: a commitment first, so that nobody can copy a report and take its reward. */
import { AbiCoder, keccak256 } from 'ethers';
import { dataJudgeAbi } from '#contracts/generated/DataJudge.js';
import { sumJudgeAbi } from '#contracts/generated/SumJudge.js';
import { typedContract } from '#contracts/typed.js';
import type { Hex } from '#core/hex.js';
import type { Chain } from '#services/chain.js';
import type { Sender, Sent } from '#services/chainSender.js';
import type { Accusation } from './dispute.js';

/**
 * Sends an accusation with the reporter's key. A report convicts in this transaction; a question convicts by
 * `expire` when its time is over.
 * @throws CHAIN_REVERTED when the judge finds nothing wrong, or the round can no longer be disputed
 */
export async function fileAccusation(
  chain: Chain,
  reporter: Sender,
  { kind, call }: Accusation,
): Promise<Sent> {
  const name = keccak256(call.data);
  if (kind === 'question') {
    const judge = typedContract(dataJudgeAbi, call.to, chain.provider);
    return reporter.send(`ask/${name}`, { ...call, value: await judge.read.bond() });
  }
  const accusation = keccak256(
    AbiCoder.defaultAbiCoder().encode(['address', 'bytes32'], [reporter.address, name]),
  ) as Hex;
  // Every judge has the same commit().
  const { commit } = typedContract(sumJudgeAbi, call.to).call;
  await reporter.send(`commit/${accusation}`, commit(accusation));
  return reporter.send(`report/${accusation}`, call);
}
