/** What is wrong with a round before anybody's update is looked at: its opening, its version, its tree. */
import type { Result } from 'ethers';
import { ZERO_HASH } from '#core/hex.js';
import { MAX_TOTAL_WEIGHT } from '#core/weights.js';
import { stepRule } from '#services/chain/terms.js';
import { answerTo, question, report, versionInput, type Accusation, type Known } from './accusation.js';
import { selectedLines, type OpeningInput } from './opening.js';

/** The opening that stands on chain: from the manifest, or as it was answered; else the question for it. */
export function openingKnown(known: Known): OpeningInput | Accusation {
  if (known.opening) return known.opening;
  const { judges, name } = known;
  const answered = answerTo(known, { of: 'opening' })?.answer;
  if (answered) return openingAnswered(answered.args);
  return question(
    known,
    'the opening in its manifest is not the one on chain',
    { of: 'opening' },
    judges.data.askOpening(name.job, BigInt(name.round)),
  );
}

export function openingAnswered(args: Record<string, unknown>): OpeningInput {
  // As an object: `shift` of ethers' results is that of arrays.
  const opening = (args['opening'] as Result).toObject() as OpeningInput;
  const { job, round, baseVersion, specHash, shift, count, selectionRoot } = opening;
  return { job, round, baseVersion, specHash, shift, count, selectionRoot };
}

export function wrongOpening(known: Known, opening: OpeningInput): Accusation | null {
  const { job, name, before, judges, sources, selection } = known;
  const call = (unsorted: ReturnType<ReturnType<typeof selectedLines>>[]) =>
    judges.leaves.wrongOpening(
      job.job,
      BigInt(name.round),
      openedInput(known, opening),
      before.fields,
      known.creation,
      unsorted,
    );
  if (
    opening.job !== job.job ||
    opening.round !== BigInt(name.round) ||
    opening.baseVersion !== before.versionId ||
    opening.specHash !== job.specHash ||
    opening.shift > 63n
  )
    return report('it was opened for another job, round, spec or base version than its own', call([]));
  const at = (selection ?? []).findIndex(
    ({ runner }, i) => i > 0 && runner <= (selection?.[i - 1]?.runner ?? ''),
  );
  if (at < 1 || !selection) return null;
  const line = selectedLines(sources.hash, selection);
  return report(
    `line ${at} of its selection does not ascend: a runner is there twice or out of order`,
    call([line(at - 1), line(at)]),
  );
}

export function wrongVersion(known: Known): Accusation | null {
  const { job, name, closing, before, judges, evidence, version } = known;
  if (!version || !before.version) return null;
  const follows =
    version.graph === before.version.graph &&
    version.stepsHash === before.version.stepsHash &&
    version.paramsRoot === closing.paramsRoot &&
    (stepRule(job.terms) !== 1 || version.stateRoot === ZERO_HASH);
  if (follows) return null;
  return report(
    'its version is not of the model that it builds on',
    judges.sums.wrongVersion(
      job.job,
      BigInt(name.round),
      evidence.place(evidence.rootName).closing,
      before.fields,
      versionInput(before.version),
      versionInput(version),
    ),
  );
}

/** A round whose weights sum to more than exact arithmetic carries. */
export function malformed({ evidence, headers, judges }: Known): Accusation | null {
  const weight = headers.reduce((sum, header) => sum + header.weight, 0);
  if (weight <= MAX_TOTAL_WEIGHT) return null;
  return report(
    `its weights sum to ${weight}, beyond 2^22`,
    judges.leaves.malformed(evidence.place(evidence.rootName)),
  );
}

/** An opening with the word that it follows. */
export function openedInput({ before }: Known, opening: OpeningInput) {
  return { previous: before.word, opening };
}
