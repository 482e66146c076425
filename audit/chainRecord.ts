/**
 * What the chain holds of a job. Events carry the fields and storage one commitment for each opening and closing;
 * recomputing every commitment from the fields shows that a node did not invent events.
 */
import { jobsAbi } from '#contracts/generated/Jobs.js';
import { typedContract } from '#contracts/typed.js';
import { ZERO_HASH, type Hex } from '#core/hex.js';
import { logReader } from '#services/chain/logs.js';
import { closingFields, creationFields, openingFields, wordHolds } from '#services/chain/words.js';
import type { Chain, ChainJob, ChainRound } from '#services/chain.js';
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
    let closing = recorded('the creation', (await chain.commitments(job, 0)).closing, creationFields(found));
    for (const [index, entry] of rounds.entries()) {
      same('the number of the next round', entry.round, index + 1);
      const stored = await chain.commitments(job, entry.round);
      const opening = recorded(
        `the opening of round ${entry.round}`,
        stored.opening,
        openingFields(closing, job, entry.round, entry.openHash),
      );
      if (!entry.closing) {
        if (index !== rounds.length - 1)
          throw new Wrong(`round ${entry.round} was never closed, but round ${entry.round + 1} was opened`);
        same(`the closing of round ${entry.round}`, stored.closing, null);
        break;
      }
      closing = recorded(
        `the closing of round ${entry.round}`,
        stored.closing,
        closingFields(opening, entry.closing),
      );
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

/** The word in storage, once it is shown to be that of the fields. */
function recorded(what: string, word: Hex | null, fields: Hex): Hex {
  if (word === null || !wordHolds(word, fields))
    throw new Wrong(`${what} is recorded as ${word ?? ZERO_HASH}, which its event does not lead to`);
  return word;
}
