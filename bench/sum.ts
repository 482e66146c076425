import { ExactSum } from '#core/sum.js';
import { decodeUpdateFile, encodeUpdateFile } from '#core/updateFile.js';
import { median, randomInt32, timed } from './measure.js';

const DIMENSION = 1_663_370;
const RUNNERS = 16;
const REPETITIONS = 21;

/**
 * The exact weighted sum of 16 updates of 1.66 M int32 beside copying the same updates, alternating in one process;
 * and the memory that a sum over 16 and over 256 updates takes when they arrive one by one.
 */
export async function run(emit: (line: Record<string, unknown>) => void): Promise<void> {
  emit(speed());
  emit(memory());
}

function speed(): Record<string, unknown> {
  const updates = Array.from({ length: RUNNERS }, (_, j) => randomInt32(DIMENSION, j));
  const weights = updates.map((_, j) => 600 + j);
  const copies = updates.map((update) => update.slice());
  const sum = new ExactSum(DIMENSION);
  const sumSeconds: number[] = [];
  const copySeconds: number[] = [];
  for (let i = 0; i < REPETITIONS; i++) {
    sum.weight = 0; // The same memory again: a round allocates it once.
    sum.values.fill(0);
    sumSeconds.push(timed(() => sum.addAll(updates, weights)));
    copySeconds.push(timed(() => copies.forEach((copy, j) => copy.set(updates[j] ?? []))));
  }
  const seconds = median(sumSeconds);
  const memcpySeconds = median(copySeconds);
  return {
    what: 'exact weighted sum',
    updates: RUNNERS,
    dimension: DIMENSION,
    seconds,
    memcpySeconds,
    ratio: memcpySeconds / seconds,
    against: 'memcpy of the same updates',
  };
}

function memory(): Record<string, unknown> {
  const job = `0x${'11'.repeat(32)}` as const;
  const runner = `0x${'22'.repeat(20)}` as const;
  const sections = { delta: randomInt32(DIMENSION, 1) };
  const file = encodeUpdateFile({ job, round: 1, runner, ring: 'i32', sections });
  const peak = (updates: number) => {
    const sum = new ExactSum(DIMENSION);
    let bytes = 0;
    for (let j = 0; j < updates; j++) {
      // A copy of the file stands for the next download.
      sum.add(decodeUpdateFile(file.slice()).delta, 600);
      bytes = Math.max(bytes, process.memoryUsage.rss());
    }
    return bytes;
  };
  peak(4 * RUNNERS); // Finished downloads are collected in batches: both figures are taken once that has settled.
  const few = peak(RUNNERS);
  const many = peak(16 * RUNNERS);
  return {
    what: 'memory of a streamed sum',
    dimension: DIMENSION,
    peakBytes: { [RUNNERS]: few, [16 * RUNNERS]: many },
    ratio: few / many,
    against: `${16 * RUNNERS} updates in place of ${RUNNERS}`,
  };
}
