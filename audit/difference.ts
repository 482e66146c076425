import type { Layout } from '#core/layout.js';
import { same, Wrong, type Place } from './checklist.js';

/**
 * Compares two vectors over one layout.
 * @param what they hold: `parameter`. @param source where the expected one is from: `the updates give`
 * @throws Wrong naming tensor and index of the first value that differs
 */
export function firstDifference(
  layout: Layout,
  found: Int32Array,
  expected: Int32Array,
  what: string,
  source: string,
): void {
  same(`the number of values`, found.length, expected.length);
  let at = 0;
  while (at < expected.length && found[at] === expected[at]) at += 1;
  if (at === expected.length) return;
  const place = placeOf(layout, at);
  throw new Wrong(
    `${what} ${place.index} of tensor ${place.tensor} (${at} of the vector) is ${found[at]}, and ${source} ${expected[at]}`,
    place,
  );
}

/** Tensor and index of a value of the vector. */
function placeOf({ tensors }: Layout, parameter: number): Required<Pick<Place, 'tensor' | 'index'>> & Place {
  const tensor = tensors.findLast(({ offset }) => offset <= parameter);
  return { tensor: tensor?.name ?? '', index: parameter - (tensor?.offset ?? 0), parameter };
}
