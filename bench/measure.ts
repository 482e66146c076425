/** Seconds that one call takes. */
export function timed(work: () => void): number {
  const began = performance.now();
  work();
  return (performance.now() - began) / 1000;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

/** int32 values that use all bits but the lowest magnitude, which updates never have; the same for the same seed. */
export function randomInt32(length: number, seed: number): Int32Array {
  return Int32Array.from({ length }, (_, i) =>
    Math.max(Math.imul(i * 16 + seed + 1, 0x9e3779b1), -(2 ** 31) + 1),
  );
}
