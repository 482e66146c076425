/**
 * What is wrong with a closed round, as the calls that convict its coordinator: the smallest proof that a judge takes,
 * or questions that a liar cannot answer. Needs chain, archive and, for sums, the updates; trusts nobody.
 */
import { hashJson } from '#core/canonicalJson.js';
import type { Hex } from '#core/hex.js';
import { chainCalls, type ClosedFields } from '#services/chainCalls.js';
import type { Accusation, Known } from './accusation.js';
import { loadAccused, type Accused } from './accused.js';
import { Wrong } from './checklist.js';
import { questionsOf, type RoundQuestion } from './questions.js';
import { throwUnlessSealed } from './seals.js';
import type { AuditSources } from './sources.js';
import { gather } from './withheld.js';
import { malformed, openingKnown, wrongOpening, wrongVersion } from './wrongOpening.js';
import { wrongNumber } from './wrongNumber.js';
import { forgedLeaves, unfitRunner } from './wrongRunner.js';

export type { Accusation } from './accusation.js';

export interface Verdict {
  /** The first thing that is wrong: one report, or what has to be asked. Empty when nothing is. */
  accusations: Accusation[];
  /** What could not be recomputed with what was at hand, and so stands on the coordinator's word. */
  unknown: string[];
  /** What is wrong and cannot be shown to any contract. */
  undisputable?: string[];
}

/**
 * Judges a round. A question that is among the accusations may have been asked already.
 * @param proposed with what an open round is to be closed: nothing can be sent about that, but all of it can be judged
 * @throws ARCHIVE_UNREACHABLE, CHAIN_UNREACHABLE; NOT_FOUND for a round that is not closed
 */
export async function accuse(
  sources: AuditSources,
  job: Hex,
  round: number,
  proposed?: ClosedFields,
): Promise<Verdict> {
  const accused = await loadAccused(sources, job, round, proposed);
  const { judges } = chainCalls(sources.chain.deployment);
  const questions = proposed
    ? new Map<Hex, RoundQuestion>()
    : await questionsOf(sources.chain, accused.name, accused.closing.block);
  const gathered = accused.committed ?? gather({ ...accused, sources, judges, questions });
  if ('accusations' in gathered) return gathered;
  const known: Known = { ...accused, ...gathered, sources, judges, questions };

  const opening = openingKnown(known);
  if ('kind' in opening) return { accusations: [opening], unknown: [] };
  const wrong =
    wrongOpening(known, opening) ??
    wrongVersion(known) ??
    (await unfitRunner(known, opening)) ??
    malformed(known);
  if (wrong) return { accusations: [wrong], unknown: [] };
  const forged = forgedLeaves(known);
  if (forged.length > 0) return { accusations: forged, unknown: [] };
  const unknown = known.selection ? [] : ['the selection: nobody has its lines'];
  const numbers = await wrongNumber(known);
  const undisputable = [...(numbers.undisputable ?? []), ...wrongSeals(sources, accused)];
  return {
    accusations: numbers.accusation ? [numbers.accusation] : [],
    unknown: [...unknown, ...numbers.unknown],
    ...(undisputable.length > 0 && { undisputable }),
  };
}

/** Which seals a round has is the manifest's word, and no contract reads manifests. */
function wrongSeals({ hash }: AuditSources, { made, job }: Pick<Accused, 'made' | 'job'>): string[] {
  if (!made) return [];
  if (hashJson(hash, made.spec) !== job.specHash) return ['its manifest has another spec than the job'];
  try {
    throwUnlessSealed(hash, made);
    return [];
  } catch (error) {
    if (error instanceof Wrong) return [error.message];
    throw error;
  }
}
