/** The questions of contracts/EpochQuestions.sol: what they are called on chain, and how it stands with them. */
import { AbiCoder, encodeBytes32String, Interface, keccak256, type InterfaceAbi, type Result } from 'ethers';
import { rewardJudgeAbi } from '#contracts/generated/RewardJudge.js';
import { rewardsAbi } from '#contracts/generated/Rewards.js';
import { typedContract } from '#contracts/typed.js';
import type { Hex } from '#core/hex.js';
import { logReader } from '#services/chain/logs.js';
import { lowerCase } from '#services/chain/lowerCase.js';
import type { Chain, ChainEpoch } from '#services/chain.js';

/** node: in the tree of a line's deltas. */
export type EpochSubject =
  { of: 'row'; height: number; index: number } | { of: 'line'; index: number } | { of: 'deltas'; node: Hex };

export interface EpochQuestion {
  id: Hex;
  subject: Hex;
  payer: Hex;
  epoch: number;
  /** Who waits for the answer; null when it is answered or ended. */
  challenger: Hex | null;
  /** Seconds since 1970 at which the answer is due. */
  until: number;
  asked: { transaction: Hex; block: number };
  /** The call that answered it; null as long as there is none. */
  answer: { name: string; args: Result } | null;
}

/** One publication of an epoch: a number can be given anew. publishedAt: seconds since 1970. */
export type EpochName = Pick<ChainEpoch, 'payer' | 'epoch' | 'root'> & { publishedAt: number };

const abi = AbiCoder.defaultAbiCoder();

/** What a question is about, as the contract names it. */
export function epochSubjectHash(subject: EpochSubject): Hex {
  if (subject.of === 'deltas')
    return keccak256(
      abi.encode(['bytes32', 'bytes32'], [encodeBytes32String('deltas'), subject.node]),
    ) as Hex;
  const height = subject.of === 'row' ? subject.height : 0;
  return keccak256(
    abi.encode(['bytes32', 'uint8', 'uint32'], [encodeBytes32String(subject.of), height, subject.index]),
  ) as Hex;
}

export function epochQuestionId({ payer, epoch, root, publishedAt }: EpochName, subject: EpochSubject): Hex {
  return keccak256(
    abi.encode(
      ['address', 'uint32', 'bytes32', 'uint32', 'bytes32'],
      [payer, epoch, root, publishedAt, epochSubjectHash(subject)],
    ),
  ) as Hex;
}

/** @throws CHAIN_REVERTED for an epoch that was revoked, or is so old that the chain keeps it no more */
export async function epochName(chain: Chain, { payer, epoch, root }: ChainEpoch): Promise<EpochName> {
  const rewards = typedContract(rewardsAbi, chain.deployment.rewards, chain.provider);
  const { publishedAt } = await rewards.read.epochOf(payer, BigInt(epoch));
  return { payer, epoch, root, publishedAt: Number(publishedAt) };
}

/** Whether the very publication stands that a question is about. */
export async function epochStands(chain: Chain, id: Hex): Promise<boolean> {
  const { rewards, judge } = contractsOf(chain);
  const [, , epoch, payer, publishedAt, root] = await judge.read.epochQuestions(id);
  return rewards.read.stands(payer, epoch, root, publishedAt);
}

/** All that was asked about epochs, of all payers or of one; of what was asked again the last time counts. */
export async function epochQuestions(
  chain: Chain,
  { payer, from }: { payer?: Hex; from: number | undefined },
): Promise<EpochQuestion[]> {
  const { judge } = contractsOf(chain);
  const logs = logReader(chain.provider, chain.deployment);
  const at = from === undefined ? undefined : { from };
  const asked = await logs(judge, 'EpochAsked', payer === undefined ? {} : { payer }, at);
  const last = new Map(asked.map((entry) => [entry.args.question, entry]));
  return Promise.all(
    [...last.values()].map(async ({ args, block, transaction }): Promise<EpochQuestion> => {
      const [challenger] = await judge.read.epochQuestions(args.question);
      const waits = BigInt(challenger) !== 0n;
      const answers = waits
        ? []
        : await logs(judge, 'EpochAnswered', { question: args.question }, { from: block });
      const answer = answers.at(-1)?.args.answer;
      return {
        id: args.question,
        subject: args.subject,
        payer: lowerCase(args.payer),
        epoch: Number(args.epoch),
        challenger: waits ? lowerCase(challenger) : null,
        until: Number(args.until),
        asked: { transaction, block },
        answer: answer === undefined ? null : face.parseTransaction({ data: answer }),
      };
    }),
  );
}

const face = new Interface(rewardJudgeAbi as unknown as InterfaceAbi);

function contractsOf({ deployment, provider }: Chain) {
  return {
    rewards: typedContract(rewardsAbi, deployment.rewards, provider),
    judge: typedContract(rewardJudgeAbi, deployment.judges.rewards, provider),
  };
}
