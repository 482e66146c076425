import { setTimeout as pause } from 'node:timers/promises';
import { MaxUint256 } from 'ethers';
import type { Address } from '#contracts/deployment.js';
import type { ChainCall } from '#contracts/typed.js';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import type { TransactionRecord } from '#core/messages.js';
import type { Chain } from '#services/chain.js';
import { termsOf } from '#services/chain/terms.js';
import { wordTime } from '#services/chain/words.js';
import { chainCalls } from '#services/chainCalls.js';
import type { Sender } from '#services/chainSender.js';
import type { ChainActivities, PreparedJob } from '../types.js';

/** Blocks until the draw of an opening is known: two, and as many again where others' are slow to come. */
const mostDraws = 4;

/**
 * Everything that this stack's key says on chain. Each transaction has an intent whose id follows from what it
 * is for, so that a repeated activity finds its own transaction instead of sending a second one.
 */
export function createChainActivities({ chain, sender }: { chain: Chain; sender: Sender }): ChainActivities {
  const calls = chainCalls(chain.deployment);
  const { jobs, rewards } = chain.deployment;
  const send = async (purpose: string, intent: string, call: ChainCall): Promise<TransactionRecord> => {
    const { hash, gasUsed, block } = await sender.send(intent, call);
    return { purpose, hash, gas: Number(gasUsed), block };
  };
  // Once for the key, not once for a job: contracts pull from their caller alone, and jobs must not race for an allowance.
  const approve = (contract: Address) =>
    send('approve', `approve/${contract}`, calls.token.approve(contract, MaxUint256));

  /** Budgets of rounds that can no longer be disputed go into the payer's purse; finished jobs end their accounts. */
  async function settleAccounts(payer: Hex): Promise<void> {
    const window = await chain.disputeWindow();
    for (const job of await chain.jobsOf(payer)) {
      const { coordinator, phase, closed, released, refundableAt, waits } = await chain.escrow(job);
      if (phase === 'refunded' || coordinator !== payer || waits) continue;
      const final = await finalRound(job, { released, closed, before: Date.now() / 1000 - window });
      // Refunding releases too. Where a round died with the job, runners that hold its receipts come first.
      if (phase === 'finished' && final === closed && refundableAt <= Date.now() / 1000)
        await send('refund', `${job}/refund`, calls.jobs.refund(job));
      else if (final > released)
        await send('release', `${job}/release/${final}`, calls.jobs.release(job, final));
    }
  }

  /** The newest round that closed before, by the clock: an idle chain answers views with an old time. */
  async function finalRound(
    job: Hex,
    { released, closed, before }: { released: number; closed: number; before: number },
  ): Promise<number> {
    for (let round = closed; round > released; round--) {
      const { closing } = await chain.commitments(job, round);
      if (closing && wordTime(closing) <= before) return round;
    }
    return released;
  }

  /**
   * The bond covers all rounds to come; what is left of the budget is there already. Rounds that stand are final: as
   * long as they are not paid out, the bond would have to cover them too.
   */
  async function takeOver({ job, spec }: PreparedJob, round: number): Promise<TransactionRecord[]> {
    const budget = BigInt(spec.rewards.budget);
    const bond = budget - (budget * BigInt(round)) / BigInt(spec.rounds);
    const approved = bond > 0n ? [await approve(jobs)] : [];
    const intent = `${job}/take-over/${round}`;
    const taken = await send('take over', intent, calls.jobs.takeOver(job, bond));
    const released =
      round > 0 ? [await send('release', `${job}/release/${round}`, calls.jobs.release(job, round))] : [];
    return [...approved, taken, ...released];
  }

  return {
    async createJob({ prepared }) {
      const { job, spec, specHash, parent, base, archive, coordinator, dimension } = prepared;
      const budget = BigInt(spec.rewards.budget);
      if (prepared.takenOver) return takeOver(prepared, prepared.takenOver.round);
      const creation = calls.jobs.create({
        job,
        coordinator,
        specHash,
        parentVersion: parent,
        genesisVersion: base.versionId,
        manifestHash: archive.manifestHash,
        archiveId: archive.manifest,
        rounds: spec.rounds,
        budget,
        terms: termsOf(spec, dimension),
        // Rounds are paid out when the job is settled: until then any of them may turn out wrong.
        bond: budget,
      });
      const approved = budget > 0n ? [await approve(jobs)] : [];
      return [...approved, await send('create', `${job}/create`, creation)];
    },

    openRound: ({ job, round, openHash }) =>
      send('open', `${job}/open/${round}`, calls.jobs.open(job, round, openHash)),

    async keepDraw({ job, round }) {
      for (let tries = 1; ; tries += 1) {
        // Before the block after next there is nothing to keep.
        await pause(2_000 * chain.network.blockSeconds);
        const last = await send('draw', `${job}/draw/${round}/${tries}`, calls.jobs.draw(job));
        if (await chain.isDrawKept(job)) return last;
        if (tries === mostDraws)
          throw new RoundtableError(
            'UNAVAILABLE',
            `The draw of round ${round} of job ${job} is not known yet.`,
          );
      }
    },

    async closeRound({ prepared: { job }, round, rootHeader, version, archive, attestations }) {
      const { paramsRoot, versionId } = version;
      const { manifestHash, manifest: archiveId } = archive;
      const closing = { job, round, rootHeader, paramsRoot, versionId, manifestHash, archiveId };
      if (!attestations) return send('close', `${job}/close/${round}`, calls.jobs.close(closing));
      const { opening } = await chain.commitments(job, round);
      if (!opening)
        throw new RoundtableError(
          'UNAVAILABLE',
          `The chain does not show the opening of round ${round} yet.`,
        );
      const call = calls.jobs.closeAttested(opening, closing, attestations, null);
      return send('close', `${job}/close/${round}`, call);
    },

    async finishJob({ job }) {
      const { coordinator, phase } = await chain.escrow(job);
      if (coordinator !== sender.address || phase === 'convicted') return null;
      return send('finish', `${job}/finish`, calls.jobs.finish(job));
    },

    releaseBudgets: ({ payer }) => settleAccounts(payer),

    async sendAnswer({ question: { id, asked }, call }) {
      try {
        return await send('answer', `answer/${id}/${asked.transaction}`, call);
      } catch (error) {
        if (isRoundtableError(error) && error.details['error'] === 'NotAsked') return null;
        throw error;
      }
    },

    async publishEpoch({ plan: { payer, epoch, root, leaves, total, manifestHash } }) {
      const [{ bond }, needed] = await Promise.all([chain.purse(payer), chain.payerBond()]);
      if (bond < needed) {
        await approve(rewards);
        await send('bond', `bond/${payer}/${epoch}`, calls.rewards.raiseBond(needed - bond));
      }
      return send(
        'publish',
        `epoch/${payer}/${epoch}`,
        calls.rewards.publish(epoch, root, leaves, BigInt(total), manifestHash),
      );
    },
  };
}
