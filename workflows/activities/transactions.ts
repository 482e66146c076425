import { MaxUint256 } from 'ethers';
import type { TransactionRecord } from '#core/messages.js';
import type { ChainCall } from '#contracts/typed.js';
import type { Chain } from '#services/chain.js';
import { chainCalls } from '#services/chainCalls.js';
import type { Sender } from '#services/chainSender.js';
import type { ChainActivities } from '../types.js';

/**
 * Everything that this stack's key says on chain. Each transaction has an intent whose id follows from what it
 * is for, so that a repeated activity finds its own transaction instead of sending a second one.
 */
export function createChainActivities({ chain, sender }: { chain: Chain; sender: Sender }): ChainActivities {
  const calls = chainCalls(chain.deployment);
  const { jobs } = chain.deployment;
  // Once for the key, not once for a job: Jobs pulls from its caller alone, and jobs must not race for an allowance.
  const approval = calls.token.approve(jobs, MaxUint256);
  const send = async (purpose: string, intent: string, call: ChainCall): Promise<TransactionRecord> => {
    const { hash, gasUsed, block } = await sender.send(intent, call);
    return { purpose, hash, gas: Number(gasUsed), block };
  };
  return {
    async createJob({ prepared }) {
      const { job, spec, specHash, parent, base, archive } = prepared;
      const budget = BigInt(spec.rewards.budget);
      const creation = calls.jobs.create({
        job,
        specHash,
        parentVersion: parent,
        genesisVersion: base.versionId,
        manifestHash: archive.manifestHash,
        archiveId: archive.manifest,
        rounds: spec.rounds,
        budget,
      });
      const approved = budget > 0n ? [await send('approve', `approve/${jobs}`, approval)] : [];
      return [...approved, await send('create', `${job}/create`, creation)];
    },

    openRound: ({ job, round, openHash }) =>
      send('open', `${job}/open/${round}`, calls.jobs.open(job, round, openHash)),

    closeRound({ prepared: { job }, round, rootHeader, version, archive }) {
      const { paramsRoot, versionId } = version;
      const { manifestHash, manifest: archiveId } = archive;
      const closing = { job, round, rootHeader, paramsRoot, versionId, manifestHash, archiveId };
      return send('close', `${job}/close/${round}`, calls.jobs.close(closing));
    },

    finishJob: ({ job }) => send('finish', `${job}/finish`, calls.jobs.finish(job)),

    publishEpoch: ({ plan: { payer, epoch, root, leaves, total, manifestHash } }) =>
      send(
        'publish',
        `epoch/${payer}/${epoch}`,
        calls.rewards.publish(epoch, root, leaves, BigInt(total), manifestHash),
      ),
  };
}
