import type { Numbers } from './tensors.js';

/** A group of tensors compared with the reference. */
export interface Comparison {
  readonly group: string;
  readonly passed: boolean;
  readonly tensors: readonly TensorComparison[];
}

export interface TensorComparison {
  readonly name: string;
  /** max|a - b| */
  readonly error: number;
  /** What is allowed. */
  readonly bound: number;
  readonly passed: boolean;
}

/**
 * Every tensor of the reference: max|a - b| <= rtol * max(max|b|, 0.001 M), M the largest max|b| of the group. For
 * optimisers a and b are differences to init, and 2e-7 max|init| is added; a mask of 0 leaves an element out. For losses
 * |a - b| <= rtol |b|.
 */
export function compareGroup(
  group: string,
  rtol: number,
  results: ReadonlyMap<string, Float64Array>,
  reference: ReadonlyMap<string, Numbers>,
  options: { init?: ReadonlyMap<string, Numbers>; masks?: ReadonlyMap<string, Numbers> } = {},
): Comparison {
  const isLoss = group.startsWith('loss/');
  const start = (name: string, index: number) => options.init?.get(name)?.values[index] ?? 0;
  const counts = (name: string, index: number) => options.masks?.get(name)?.values[index] !== 0;
  const wanted = [...reference].map(([name, { values }]) => ({
    name,
    moves: values.map((value, index) => (counts(name, index) ? value - start(name, index) : 0)),
  }));
  const sizes = wanted.map(({ moves }) => largest(moves));
  const scale = isLoss ? 0 : 0.001 * Math.max(0, ...sizes);
  const tensors = wanted.map(({ name, moves }, at): TensorComparison => {
    const found = results.get(name);
    const errors = moves.map((move, index) =>
      counts(name, index) ? (found?.[index] ?? NaN) - start(name, index) - move : 0,
    );
    const error = found?.length === moves.length ? largest(errors) : NaN;
    const rest = options.init ? 2e-7 * largest(options.init.get(name)?.values ?? new Float64Array()) : 0;
    const bound = rtol * Math.max(sizes[at] ?? 0, scale) + rest;
    return { name, error, bound, passed: error <= bound };
  });
  return { group, passed: tensors.every(({ passed }) => passed), tensors };
}

/** NaN where one is among them. */
function largest(values: Float64Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}
