/** What can be disputed at this moment: rounds within their window, and epochs that are not in effect yet. */
import { dataJudgeAbi } from '#contracts/generated/DataJudge.js';
import { rewardJudgeAbi } from '#contracts/generated/RewardJudge.js';
import { rewardsAbi } from '#contracts/generated/Rewards.js';
import { typedContract } from '#contracts/typed.js';
import type { Hex } from '#core/hex.js';
import { logReader } from '#services/chain/logs.js';
import { lowerCase } from '#services/chain/lowerCase.js';
import { wordTime } from '#services/chain/words.js';
import type { Chain, ChainEpoch } from '#services/chain.js';

/** Times in seconds since 1970, by the chain's clock. */
export type Disputable = {
  /** Names it for good: another closing of the round, or epoch of the number, has another key. */
  key: string;
  since: number;
  until: number;
  /** Who answers for it. */
  accountable: Hex;
} & ({ subject: 'round'; job: Hex; round: number } | { subject: 'epoch'; epoch: ChainEpoch });

export interface Moment {
  now: number;
  /** Seconds. */
  window: number;
  /** The first block that anything that still matters can stand in: two windows old. */
  from: number;
}

/** @param hint a block that an earlier moment began with */
export async function readMoment(chain: Chain, hint: number): Promise<Moment> {
  const window = await chain.disputeWindow();
  const newest = await chain.provider.getBlock('latest');
  // A chain on which nobody sends anything has an old newest block, and one in a test may be ahead of the clock.
  const now = Math.max(newest?.timestamp ?? 0, Math.floor(Date.now() / 1000));
  const first = Math.max(hint, chain.deployment.block);
  return { now, window, from: await firstBlockAt(chain, now - 2 * window, first, newest?.number ?? first) };
}

/** Those whose time ends first come first. */
export async function disputable(chain: Chain, { now, window, from }: Moment): Promise<Disputable[]> {
  const all = [...(await roundsIn(chain, now, window, from)), ...(await epochsIn(chain, now, from))];
  return all.filter(({ until }) => until > now).sort((a, b) => a.until - b.until);
}

/** Rounds that closed lately, and older ones that something was asked about lately. */
async function roundsIn(chain: Chain, now: number, window: number, from: number): Promise<Disputable[]> {
  const closings = await chain.closings({ from });
  const judge = typedContract(dataJudgeAbi, chain.deployment.judges.data, chain.provider);
  const asked = (await logReader(chain.provider, chain.deployment)(judge, 'Asked', {}, { from })).map(
    ({ args }) => ({ job: args.job, round: Number(args.round) }),
  );
  const found: Disputable[] = [];
  for (const job of new Set([...closings, ...asked].map((about) => about.job)))
    for (const { round, closing, coordinator } of await chain.rounds(job)) {
      if (!closing) continue;
      const isAsked = asked.some((about) => about.job === job && about.round === round);
      if (closing.block < from && !isAsked) continue;
      const { closing: word } = await chain.commitments(job, round);
      if (!word) continue;
      const since = wordTime(word);
      // Whoever was answered may ask on, or report what the answer shows, when the round's own window is over.
      const waits = since + window <= now && isAsked && !(await chain.isFinal(job, round));
      found.push({
        subject: 'round',
        key: `${job}/${round}/${word}`,
        job,
        round,
        since,
        until: waits ? now + 1 : since + window,
        accountable: coordinator,
      });
    }
  return found;
}

/** Epochs that were published lately, and older ones that something was asked about lately. */
async function epochsIn(chain: Chain, now: number, from: number): Promise<Disputable[]> {
  const rewards = typedContract(rewardsAbi, chain.deployment.rewards, chain.provider);
  const judge = typedContract(rewardJudgeAbi, chain.deployment.judges.rewards, chain.provider);
  const logs = logReader(chain.provider, chain.deployment);
  const published = await logs(rewards, 'EpochPublished', {}, { from });
  const asked = await logs(judge, 'EpochAsked', {}, { from });
  const window = await chain.disputeWindow();
  const found: Disputable[] = [];
  for (const payer of new Set([...published, ...asked].map(({ args }) => lowerCase(args.payer)))) {
    const inEffect = await rewards.read.epochInEffect(payer);
    for (const epoch of await chain.epochs(payer)) {
      // An epoch waits for answers about it, and about those ahead of it.
      const waits = asked.length > 0 && epoch.effectiveAt <= now && BigInt(epoch.epoch) > inEffect;
      const thing = epochThing(epoch, window);
      found.push(waits ? { ...thing, until: now + 1 } : thing);
    }
  }
  return found;
}

export function epochThing(epoch: ChainEpoch, window: number): Disputable {
  const { payer, effectiveAt } = epoch;
  return {
    subject: 'epoch',
    key: `${payer}/${epoch.epoch}/${epoch.root}/${epoch.transaction}`,
    epoch,
    since: effectiveAt - window,
    until: effectiveAt,
    accountable: payer,
  };
}

/** By bisection, since nobody indexes blocks by time. */
async function firstBlockAt(chain: Chain, time: number, first: number, last: number): Promise<number> {
  let [low, high] = [first, Math.max(first, last)];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const block = await chain.provider.getBlock(middle);
    if ((block?.timestamp ?? 0) < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
