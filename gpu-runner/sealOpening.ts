import { sealJudgeAbi } from '#contracts/generated/SealJudge.js';
import { typedContract } from '#contracts/typed.js';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import type { ConsortiumChain } from '#services/chain.js';
import { logReader } from '#services/chain/logs.js';
import type { Sender } from '#services/chainSender.js';
import type { DecisionLog } from './decisionLog.js';
import type { SealedWork } from './sealedWork.js';

export interface OpeningParts {
  seals: Pick<SealedWork, 'find'>;
  chain: Pick<ConsortiumChain, 'provider' | 'deployment'>;
  /** Of the runner's own account, which pays the gas and wins the bond of whoever asked. */
  sender: Sender;
  sealJudge: Hex;
  decisions: Pick<DecisionLog, 'append'>;
}

/**
 * Looks once at what is demanded of this runner on chain, and opens it. What was sent is sent once, however often and by
 * however many processes it is looked at.
 * @param from the first block that is looked at
 * @returns the block that the next look begins with
 * @throws NOT_FOUND for a demand about a seal that is not on the disk, when everything else was opened
 */
export async function openDemanded(parts: OpeningParts, from: number): Promise<number> {
  const { seals, chain, sender, sealJudge, decisions } = parts;
  const judge = typedContract(sealJudgeAbi, sealJudge, chain.provider);
  const next = (await chain.provider.getBlockNumber()) + 1;
  const demanded = await logReader(chain.provider, chain.deployment)(
    judge,
    'Demanded',
    { runner: sender.address },
    { from },
  );
  const lost: string[] = [];
  for (const { args } of demanded) {
    const { demand, job, seal } = args;
    const [challenger] = await judge.read.demands(demand);
    // Opened, or over.
    if (BigInt(challenger) === 0n) continue;
    const round = Number(args.round);
    const kept = await seals.find(job, round);
    if (kept?.seal !== seal) {
      lost.push(`round ${round} of job ${job}`);
      continue;
    }
    const sealed = { job, round: args.round, openHash: kept.openHash, seal };
    const call = judge.call.open(sender.address, sealed, kept.update.updateRoot, kept.salt);
    try {
      const { hash } = await sender.send(`open/${demand}`, call);
      await decisions.append({ kind: 'opened', job, round, seal, transaction: hash });
    } catch (error) {
      // Somebody else who knew root and salt was faster.
      if (!isRoundtableError(error) || error.details['error'] !== 'NotDemanded') throw error;
    }
  }
  if (lost.length > 0)
    throw new RoundtableError(
      'NOT_FOUND',
      `A seal is demanded on chain and is not in work/: ${lost.join('; ')}. Without it the runner's stake is lost.`,
    );
  return next;
}
