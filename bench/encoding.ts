import { createHash } from 'node:crypto';
import { bytesOf } from '#core/bytes.js';
import { encodeUpdate, layoutOf } from '#core/layout.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { sha256 } from '#services/sha256.js';
import { median, randomInt32, timed } from './measure.js';

const DIMENSION = 1_663_370;
const REPETITIONS = 15;

/** What a runner does to a trained model before it signs: encoding and tree, beside SHA-256 of one large buffer. */
export async function run(emit: (line: Record<string, unknown>) => void): Promise<void> {
  const layout = layoutOf([{ name: 'weights', shape: [DIMENSION], exponent: -26 }]);
  const params = randomInt32(DIMENSION, 1).map((value) => value >> 6);
  const local = Float32Array.from(params, (param, i) => param * 2 ** -26 + Math.sin(i) / 100);
  const encode: number[] = [];
  const tree: number[] = [];
  const plain: number[] = [];
  for (let i = 0; i < REPETITIONS; i++) {
    let delta: Int32Array = new Int32Array();
    encode.push(timed(() => (delta = encodeUpdate(layout, local, params).delta)));
    tree.push(timed(() => valuesRoot(sha256, LEAF.update, delta)));
    plain.push(timed(() => createHash('sha256').update(bytesOf(delta)).digest()));
  }
  const megabytes = (4 * DIMENSION) / 1e6;
  const seconds = median(encode) + median(tree);
  emit({
    dimension: DIMENSION,
    encodeMBps: megabytes / median(encode),
    treeMBps: megabytes / median(tree),
    MBps: megabytes / seconds,
    sha256MBps: megabytes / median(plain),
    seconds,
    ratio: median(plain) / seconds,
    against: 'SHA-256 of the same bytes as one buffer',
  });
}
