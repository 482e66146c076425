import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import {
  createLayout,
  dequantiseModel,
  encodeUpdate,
  layoutOf,
  quantiseModel,
  stepsHash,
  valuesOf,
  type TensorLayout,
} from '#core/layout.js';
import { sha256, sha256Hex } from '#services/sha256.js';

const weights = [
  { name: 'fc.weight', dims: [2, 3], data: Float32Array.of(0.5, -0.25, 1, 0, -1, 0.125) },
  { name: 'fc.bias', dims: [2], data: Float32Array.of(3, -1.5) },
  { name: 'scale', dims: [], data: Float32Array.of(0.75) },
];

describe('createLayout', () => {
  test('places tensors in byte order of their names, each on the grid of its largest magnitude', () => {
    expect(createLayout(weights)).toEqual({
      tensors: [
        { name: 'fc.bias', shape: [2], exponent: -24, offset: 0, size: 2 },
        { name: 'fc.weight', shape: [2, 3], exponent: -26, offset: 2, size: 6 },
        { name: 'scale', shape: [], exponent: -26, offset: 8, size: 1 },
      ],
      dimension: 9,
    });
  });

  test('orders by UTF-8, which differs from the order of JavaScript strings', () => {
    // U+FF5A is EF BD 9A in UTF-8, U+1D49C is F0 9D 92 9C; as UTF-16 the second begins with D835 and would come first.
    const names = ['\ud835\udc9c', '\uff5a', 'a', 'ab', 'Z'];
    const layout = createLayout(names.map((name) => ({ name, dims: [1], data: new Float32Array(1) })));
    expect(layout.tensors.map(({ name }) => name)).toEqual(['Z', 'a', 'ab', '\uff5a', '\ud835\udc9c']);
  });

  test('does not depend on the order in which the model lists its tensors', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(weights, { minLength: 3 }), (shuffled) => {
        expect(createLayout(shuffled)).toEqual(createLayout(weights));
        expect(quantiseModel(createLayout(shuffled), shuffled)).toEqual(
          quantiseModel(createLayout(weights), weights),
        );
      }),
    );
  });

  test.each([
    ['no tensors', []],
    ['a name twice', [weights[2], weights[2]]],
    ['data of another size', [{ name: 'w', dims: [3], data: new Float32Array(2) }]],
    ['an empty tensor', [{ name: 'w', dims: [0, 3], data: new Float32Array(0) }]],
    ['a negative extent', [{ name: 'w', dims: [-1], data: new Float32Array(1) }]],
  ])('%s is refused', (_, list) => {
    expect(() => createLayout(list as typeof weights)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT' }),
    );
  });

  test.each([NaN, Infinity])('a weight of %d is refused', (value) => {
    expect(() => createLayout([{ name: 'w', dims: [3], data: Float32Array.of(1, value, 2) }])).toThrow(
      expect.objectContaining({ code: 'UPDATE_NOT_FINITE' }),
    );
  });
});

test('a step outside of what float32 weights can have is refused', () => {
  expect(() => layoutOf([{ name: 'w', shape: [1], exponent: -27 }])).toThrow(
    'exponents lie between -26 and 102',
  );
  expect(() => layoutOf([{ name: 'w', shape: [1], exponent: 103 }])).toThrow(
    'exponents lie between -26 and 102',
  );
});

test('the steps hash covers names, shapes and exponents as canonical JSON', () => {
  const json =
    '[{"exponent":-24,"name":"fc.bias","shape":[2]},{"exponent":-26,"name":"fc.weight","shape":[2,3]},{"exponent":-26,"name":"scale","shape":[]}]';
  expect(stepsHash(sha256, createLayout(weights))).toBe(sha256Hex(Buffer.from(json)));
});

test('weights on the grid come back as they were', () => {
  const layout = createLayout(weights);
  const params = quantiseModel(layout, weights);
  expect([...valuesOf(params, layout.tensors[0] as TensorLayout)]).toEqual([3 * 2 ** 24, -1.5 * 2 ** 24]);
  expect([...dequantiseModel(layout, params)]).toEqual([3, -1.5, 0.5, -0.25, 1, 0, -1, 0.125, 0.75]);
});

describe('encodeUpdate', () => {
  const layout = createLayout(weights);
  const params = quantiseModel(layout, weights);

  test('counts each tensor in its own steps', () => {
    const local = dequantiseModel(layout, params);
    local[0] = 3 + 2 ** -20;
    local[8] = 0.75 - 2 ** -20;
    const { delta, saturated } = encodeUpdate(layout, local, params);
    expect([...delta]).toEqual([16, 0, 0, 0, 0, 0, 0, 0, -64]);
    expect(saturated).toBe(0);
  });

  test('counts saturated values over all tensors', () => {
    const local = dequantiseModel(layout, params);
    local[1] = 1e6;
    local[7] = -1e6;
    const { delta, saturated } = encodeUpdate(layout, local, params);
    expect(saturated).toBe(2);
    expect([delta[1], delta[7]]).toEqual([2 ** 31 - 1, -(2 ** 31 - 1)]);
  });

  test('names the tensor and the index of what is not finite', () => {
    const local = dequantiseModel(layout, params);
    local[4] = NaN;
    expect(() => encodeUpdate(layout, local, params)).toThrow(
      expect.objectContaining({ code: 'UPDATE_NOT_FINITE', details: { tensor: 'fc.weight', index: 2 } }),
    );
  });

  test('a vector that is too short is refused', () => {
    expect(() => encodeUpdate(layout, new Float32Array(8), params)).toThrow(
      'ends before tensor "scale" does',
    );
  });
});
