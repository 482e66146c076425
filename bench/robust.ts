import { robustMean } from '#core/robustMean.js';
import type { RobustRule } from '#core/robustRule.js';
import { median, randomInt32, timed } from './measure.js';

const DIMENSION = 1_663_370;
const RUNNERS = 16;
const REPETITIONS = 7;

/** Median and trimmed mean of 16 updates of 1.66 M int32 beside sorting every position, alternating in one process. */
export async function run(emit: (line: Record<string, unknown>) => void): Promise<void> {
  const updates = Array.from({ length: RUNNERS }, (_, j) => randomInt32(DIMENSION, j));
  const rules: RobustRule[] = [{ rule: 'median' }, { rule: 'trimmed-mean', percent: 20 }];
  for (const rule of rules) {
    const seconds: number[] = [];
    const sortSeconds: number[] = [];
    for (let i = 0; i < REPETITIONS; i++) {
      seconds.push(timed(() => robustMean(rule, updates)));
      sortSeconds.push(timed(() => sorted(updates)));
    }
    emit({
      what: rule.rule,
      updates: RUNNERS,
      dimension: DIMENSION,
      seconds: median(seconds),
      sortSeconds: median(sortSeconds),
      ratio: median(sortSeconds) / median(seconds),
      against: 'TypedArray.sort of every position',
    });
  }
}

function sorted(updates: readonly Int32Array[]): Int32Array {
  const column = new Int32Array(updates.length);
  const middle = new Int32Array(DIMENSION);
  for (let at = 0; at < DIMENSION; at++) {
    updates.forEach((update, j) => void (column[j] = update[at] ?? 0));
    middle[at] = column.sort()[(updates.length - 1) >> 1] ?? 0;
  }
  return middle;
}
