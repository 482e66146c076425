/**
 * A range of a round's sum, as a function writes it and the worker reads it: the values as float64 (integers within
 * 2^53), then for every node of the aggregation tree, level by level from the bottom, the subtree roots of its sum in
 * that range, 32 bytes each. It lives for one round and enters no hash.
 */
import { aggregationTree } from './commitment.js';
import { RoundtableError } from './errors.js';
import { subtreesOf, type LeafRange } from './merkleRange.js';
import { valuesOf } from './shards.js';

export interface SumPart {
  values: Float64Array;
  /** roots[level][node]: of subtreesOf(range), 32 bytes each. */
  roots: Uint8Array[][][];
}

/** Fixes the form of a part. */
export interface SumPartShape {
  dimension: number;
  range: LeafRange;
  /** Updates in the round. */
  updates: number;
}

/** @throws INVALID_INPUT for another number of values or roots than the shape has */
export function encodeSumPart(shape: SumPartShape, { values, roots }: SumPart): Uint8Array {
  const { valueBytes, nodes, subtrees } = sizesOf(shape);
  const flat = roots.flat(2);
  if (8 * values.length !== valueBytes || flat.length !== nodes * subtrees)
    throw new RoundtableError(
      'INVALID_INPUT',
      `A part of ${values.length} sums with ${flat.length} roots is not one of ${valueBytes / 8} with ${nodes * subtrees}.`,
    );
  const bytes = new Uint8Array(valueBytes + 32 * flat.length);
  new Float64Array(bytes.buffer, 0, values.length).set(values);
  flat.forEach((root, i) => bytes.set(root, valueBytes + 32 * i));
  return bytes;
}

/** @throws FORMAT_INVALID for another length than the shape has */
export function decodeSumPart(shape: SumPartShape, bytes: Uint8Array): SumPart {
  const { valueBytes, levels, nodes, subtrees } = sizesOf(shape);
  const expected = valueBytes + 32 * nodes * subtrees;
  if (bytes.length !== expected)
    throw new RoundtableError(
      'FORMAT_INVALID',
      `A part of a sum has ${bytes.length} bytes, and ${expected} were expected.`,
    );
  const whole = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
  let at = valueBytes;
  const roots = levels.map((size) =>
    Array.from({ length: size }, () => Array.from({ length: subtrees }, () => whole.slice(at, (at += 32)))),
  );
  return { values: new Float64Array(whole.buffer, whole.byteOffset, valueBytes / 8), roots };
}

function sizesOf({ dimension, range, updates }: SumPartShape) {
  const [from, to] = valuesOf(dimension, range);
  const levels = aggregationTree(updates).levels.map((level) => level.length);
  return {
    valueBytes: 8 * (to - from),
    levels,
    nodes: levels.reduce((sum, size) => sum + size, 0),
    subtrees: subtreesOf(range).length,
  };
}
