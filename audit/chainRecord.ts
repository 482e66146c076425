/**
 * What the chain holds of a job. Events carry the fields and storage one commitment for each opening and closing;
 * recomputing every commitment from the fields shows that a node did not invent events.
 */
import { ZERO_HASH, type Hex } from '#core/hex.js';
import { closingFields, creationFields, openingFields, wordHolds } from '#services/chain/words.js';
import type { ChainJob, ChainRound } from '#services/chain.js';
import type { Checklist } from './checklist.js';
import { same, Wrong } from './checklist.js';
import type { AuditChain } from './sources.js';

export interface JobRecord {
  job: ChainJob;
  /** Every opened round that stands, ascending. */
  rounds: ChainRound[];
}

/** @throws AuditStopped when the job is unknown or events and commitments differ */
export async function checkChainRecord(list: Checklist, chain: AuditChain, job: Hex): Promise<JobRecord> {
  const subject = `job ${job.slice(0, 12)}`;
  const found = await list.check(subject, 'created on chain', 'JobCreated event', async () => {
    const created = await chain.job(job);
    if (!created) throw new Wrong(`the chain knows no job ${job}`);
    return created;
  });
  return list.check(subject, 'commitments', 'keccak256 over the events, against storage', async (say) => {
    let rounds = await compareWords(chain, found);
    // A round that closed between two questions is no lie; it is asked about again.
    rounds ??= await compareWords(chain, found);
    if (!rounds) throw new Wrong('the newest round is closed in storage, and no event says so');
    const closed = rounds.filter((round) => round.closing).length;
    say(`${closed} closed ${closed === 1 ? 'round' : 'rounds'}`);
    return { job: found, rounds };
  });
}

/** @returns null when the newest round is closed in storage and open in the events */
async function compareWords(chain: AuditChain, created: ChainJob): Promise<ChainRound[] | null> {
  const { job } = created;
  const rounds = (await chain.rounds(job)).sort((a, b) => a.round - b.round);
  let closing = recorded('the creation', (await chain.commitments(job, 0)).closing, creationFields(created));
  for (const [index, entry] of rounds.entries()) {
    const place = { round: entry.round };
    same('the number of the next round', entry.round, index + 1);
    const stored = await chain.commitments(job, entry.round);
    const fields = openingFields(closing, job, entry.round, entry.openHash);
    const opening = recorded(`the opening of round ${entry.round}`, stored.opening, fields, place);
    if (!entry.closing) {
      if (index !== rounds.length - 1)
        throw new Wrong(
          `round ${entry.round} was never closed, but round ${entry.round + 1} was opened`,
          place,
        );
      return stored.closing === null ? rounds : null;
    }
    const closed = closingFields(opening, entry.closing);
    closing = recorded(`the closing of round ${entry.round}`, stored.closing, closed, place);
  }
  return rounds;
}

/** The word in storage, once it is shown to be that of the fields. */
function recorded(what: string, word: Hex | null, fields: Hex, place?: { round: number }): Hex {
  if (word === null || !wordHolds(word, fields))
    throw new Wrong(`${what} is recorded as ${word ?? ZERO_HASH}, which its event does not lead to`, place);
  return word;
}
