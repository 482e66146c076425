/** Runners that do not belong into a round, and signatures that are not theirs. */
import { updateDomain, updateTypes } from '#core/eip712.js';
import type { Hex } from '#core/hex.js';
import { weightOf } from '#core/weights.js';
import { wordTime } from '#services/chain/words.js';
import { typedDataSigner } from '#services/signatures.js';
import { answerTo, question, report, type Accusation, type Known } from './accusation.js';
import { selectedLines, type OpeningInput } from './opening.js';
import { openedInput } from './wrongOpening.js';

/** A runner without stake, with a header that contradicts itself, out of order, unselected, or beyond its samples. */
export async function unfitRunner(known: Known, opening: OpeningInput): Promise<Accusation | null> {
  const { headers, evidence, judges, sources, openingWord, selection, job } = known;
  const { sampleCap } = job.terms;
  const unbonding = await sources.chain.unbondingSeconds();
  const openedAt = wordTime(openingWord);
  const line = selection && selectedLines(sources.hash, selection);
  for (const [index, header] of headers.entries()) {
    const { place, child } = evidence.placeOf(index);
    const at = [place, child, evidence.leaf(index), openedInput(known, opening)] as const;
    const who = `runner ${header.runner}`;
    const next = headers[index + 1];
    if (next && next.runner <= header.runner) {
      const after = evidence.placeOf(index + 1);
      return report(
        `${who} is out of order or there twice`,
        judges.leaves.unordered(
          place,
          child,
          evidence.leaf(index),
          after.place,
          after.child,
          evidence.leaf(index + 1),
        ),
      );
    }
    const registered = await sources.chain.runner(header.runner);
    const tookPart =
      registered !== null &&
      registered.registeredAt <= openedAt &&
      (registered.leftAt === null || registered.leftAt + unbonding > openedAt);
    if (!tookPart)
      return report(`${who} had no stake when the round opened`, judges.leaves.unfitRunner(...at));
    const isConsistent =
      header.index === index &&
      Number(header.samples) > 0 &&
      (sampleCap === 0 || header.samples <= sampleCap) &&
      header.weight === weightOf(Number(header.samples), Number(opening.shift));
    if (!isConsistent)
      return report(`the header of ${who} contradicts itself`, judges.leaves.unfitRunner(...at));
    if (!selection || !line) continue;
    const own = selection.findIndex(({ runner }) => runner === header.runner);
    if (own < 0)
      return report(
        `${who} was not selected`,
        judges.leaves.unselected(...at, besideOf(selection, header.runner).map(line)),
      );
    if (Number(header.samples) > (selection[own]?.maxSamples ?? 0))
      return report(
        `${who} signed more samples than it had declared`,
        judges.leaves.overclaimed(...at, line(own)),
      );
  }
  return null;
}

/** Between which lines of an ascending selection a runner would stand. */
function besideOf(selection: readonly { runner: Hex }[], absent: Hex): number[] {
  const above = selection.findIndex(({ runner }) => runner > absent);
  if (above < 0) return [selection.length - 1];
  return above === 0 ? [0] : [above - 1, above];
}

/**
 * The header commits to no steps, so no contract can say that a signature is forged: the coordinator must show it. All at
 * once, since there is no time to ask for one after the other.
 */
export function forgedLeaves(known: Known): Accusation[] {
  const { headers, evidence, judges, job, name, record, sources } = known;
  const { chainId, jobs } = sources.chain.deployment;
  const domain = updateDomain(chainId, jobs);
  return headers.flatMap((header, index) => {
    const { updateRoot, samples, steps, signature } = header;
    const statement = {
      job: job.job,
      round: name.round,
      openHash: record.openHash,
      updateRoot,
      dimension: job.terms.dimension,
      samples,
      steps,
    };
    if (typedDataSigner(domain, updateTypes, statement, signature) === header.runner) return [];
    const { place, child } = evidence.placeOf(index);
    const subject = { of: 'leaf', turns: place.turns.map(Number), child: Number(child) } as const;
    // Shown to hold, with other steps than the manifest says: that is no lie a contract knows of.
    if (answerTo(known, subject)) return [];
    return [
      question(
        known,
        `the signature of runner ${header.runner} does not hold`,
        subject,
        judges.data.askLeaf(place, child),
      ),
    ];
  });
}
