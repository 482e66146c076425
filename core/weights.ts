/** Weights of updates in the sum (PROTOCOL section 3). */
import { type Uint } from './bytes.js';
import { RoundtableError } from './errors.js';

/** The most that the weights of a round sum to: with |q| < 2^31 every partial sum stays within 2^53. */
export const MAX_TOTAL_WEIGHT = 2 ** 22;

/**
 * The smallest shift for which the weights of all selected runners sum to at most 2^22, fixed when the round opens.
 * @param declaredSamples what each selected runner declared, at least 1 each
 * @throws INVALID_INPUT for more than 2^22 runners or a declaration below 1
 */
export function weightShift(declaredSamples: readonly Uint[]): number {
  if (declaredSamples.length === 0 || declaredSamples.length > MAX_TOTAL_WEIGHT)
    throw new RoundtableError(
      'INVALID_INPUT',
      `A round has 1 to 2^22 runners, not ${declaredSamples.length}.`,
    );
  const samples = declaredSamples.map(naturalSamples);
  for (let shift = 0; ; shift++) {
    const total = samples.reduce((sum, declared) => sum + shifted(declared, shift), 0n);
    if (total <= BigInt(MAX_TOTAL_WEIGHT)) return shift;
  }
}

/** max(1, samples >> shift). @throws INVALID_INPUT for samples below 1, or a weight that no round can have */
export function weightOf(samples: Uint, shift: number): number {
  if (!Number.isInteger(shift) || shift < 0 || shift > 63)
    throw new RoundtableError('INVALID_INPUT', `A shift lies between 0 and 63, not ${shift}.`);
  const weight = shifted(naturalSamples(samples), shift);
  if (weight > BigInt(MAX_TOTAL_WEIGHT))
    throw new RoundtableError(
      'INVALID_INPUT',
      `${samples} samples shifted by ${shift} exceed the weight of a round, 2^22.`,
    );
  return Number(weight);
}

function shifted(samples: bigint, shift: number): bigint {
  const weight = samples >> BigInt(shift);
  return weight > 0n ? weight : 1n;
}

function naturalSamples(samples: Uint): bigint {
  const valid = typeof samples === 'bigint' || Number.isSafeInteger(samples);
  const integer = valid ? BigInt(samples) : 0n;
  if (integer < 1n || integer >= 2n ** 64n)
    throw new RoundtableError('INVALID_INPUT', `A runner has 1 to 2^64 - 1 samples, not ${samples}.`);
  return integer;
}
