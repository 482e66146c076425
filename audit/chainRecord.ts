/**
 * What the chain holds of a job. Events carry the fields and storage one commitment for each opening and closing;
 * recomputing every commitment from the fields shows that a node did not invent events.
 */
import { AbiCoder, keccak256 } from 'ethers';
import { jobsAbi } from '#contracts/generated/Jobs.js';
import { typedContract } from '#contracts/typed.js';
import { fromHex, toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import { archiveIdToBytes32 } from '#services/archiveId.js';
import { logReader } from '#services/chain/logs.js';
import type { Chain, ChainClosing, ChainJob, ChainRound } from '#services/chain.js';
import type { Checklist } from './checklist.js';
import { same, Wrong } from './checklist.js';

export interface JobRecord {
  job: ChainJob;
  /** Every opened round, ascending. */
  rounds: ChainRound[];
}

/** @throws AuditStopped when the job is unknown or events and commitments differ */
export async function checkChainRecord(list: Checklist, chain: Chain, job: Hex): Promise<JobRecord> {
  const subject = `job ${job.slice(0, 12)}`;
  const found = await list.check(subject, 'created on chain', 'JobCreated event', async () => {
    const created = await chain.job(job);
    if (!created) throw new Wrong(`the chain knows no job ${job}`);
    return created;
  });
  return list.check(subject, 'commitments', 'keccak256 over the events, against storage', async (say) => {
    const rounds = (await chain.rounds(job)).sort((a, b) => a.round - b.round);
    let closing: Hex = genesisCommitment(found);
    same('the commitment of the creation', (await chain.commitments(job, 0)).closing, closing);
    for (const [index, entry] of rounds.entries()) {
      same('the number of the next round', entry.round, index + 1);
      const stored = await chain.commitments(job, entry.round);
      const opening = commitment(
        ['bytes32', 'bytes32', 'uint32', 'bytes32'],
        [closing, job, entry.round, entry.openHash],
      );
      same(`the opening of round ${entry.round}`, stored.opening, opening);
      if (!entry.closing) {
        if (index !== rounds.length - 1)
          throw new Wrong(`round ${entry.round} was never closed, but round ${entry.round + 1} was opened`);
        same(`the closing of round ${entry.round}`, stored.closing, null);
        break;
      }
      closing = closingCommitment(opening, entry.closing);
      same(`the closing of round ${entry.round}`, stored.closing, closing);
    }
    say(`${rounds.filter((round) => round.closing).length} closed rounds`);
    return { job: found, rounds };
  });
}

/** The job that a version belongs to: that which it closed a round of, or which starts from it. */
export async function jobOfVersion(chain: Chain, version: Hex): Promise<{ job: Hex; round: number } | null> {
  const closed = await chain.closedVersion(version);
  if (closed) return { job: closed.job, round: closed.round };
  const [created] = await createdJobs(chain, { genesisVersion: version });
  return created ? { job: created, round: 0 } : null;
}

/** All jobs of a chain, oldest first. */
export function allJobs(chain: Chain): Promise<Hex[]> {
  return createdJobs(chain, {});
}

async function createdJobs(
  { provider, deployment }: Chain,
  indexed: { genesisVersion?: Hex },
): Promise<Hex[]> {
  const logs = logReader(provider, deployment);
  const created = await logs(typedContract(jobsAbi, deployment.jobs), 'JobCreated', indexed, undefined);
  return created.map(({ args }) => args.job);
}

function genesisCommitment(job: ChainJob): Hex {
  return commitment(
    ['bytes32', 'address', 'bytes32', 'bytes32', 'bytes32', 'bytes32', 'bytes32', 'uint32', 'uint256'],
    [
      job.job,
      job.coordinator,
      job.specHash,
      job.parentVersion ?? ZERO_HASH,
      job.genesisVersion,
      job.manifestHash,
      archiveIdToBytes32(job.archiveId),
      job.rounds,
      job.budget,
    ],
  );
}

function closingCommitment(opening: Hex, closing: ChainClosing): Hex {
  return commitment(
    ['bytes32', 'bytes32', 'bytes32', 'bytes32', 'bytes32', 'bytes32'],
    [
      opening,
      closing.rootHeader,
      closing.paramsRoot,
      closing.versionId,
      closing.manifestHash,
      archiveIdToBytes32(closing.archiveId),
    ],
  );
}

function commitment(types: string[], values: unknown[]): Hex {
  return toHex(fromHex(keccak256(AbiCoder.defaultAbiCoder().encode(types, values))));
}
