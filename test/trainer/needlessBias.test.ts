import { describe, expect, test } from '@jest/globals';
import { compileGradients } from '#trainer/compile/gradients.js';
import { readModel } from '#trainer/model.js';
import type { GraphBuilder } from '#trainer/onnx/builder.js';
import { modelOf, weight } from './models.js';

/** A convolution of two channels with a bias, a norm, three classes. */
const withNorm = (norm: string, inputs: readonly string[], attributes: Record<string, number>) =>
  modelOf([1, 4, 4], (builder) => {
    for (const name of ['gamma', 'beta', 'mean', 'variance']) weight(builder, name, [2]);
    const kernel = weight(builder, 'kernel', [2, 1, 3, 3]);
    const image = builder.node('Conv', ['x', kernel, weight(builder, 'bias', [2])], { kernel_shape: [3, 3] });
    const normal = builder.node(norm, [image, ...inputs], attributes);
    builder.node('Gemm', [builder.node('Flatten', [normal]), weight(builder, 'head', [8, 3])], {}, 'logits');
  });
const statistics = ['gamma', 'beta', 'mean', 'variance'];
const trained = (file: Uint8Array) => {
  const { graph } = readModel(file);
  const plan = compileGradients(graph, { loss: 'softmax_cross_entropy', inputs: ['float32'], batch: 2 });
  return [...plan.gradients.keys()].sort();
};

test.each([
  ['InstanceNormalization', ['gamma', 'beta'], {}],
  ['BatchNormalization', statistics, { training_mode: 1 }],
  ['GroupNormalization', ['gamma', 'beta'], { num_groups: 2 }],
] as const)(
  'what %s takes away again has no gradient, not one of rounding noise',
  (norm, inputs, attributes) => {
    expect(trained(withNorm(norm, inputs, attributes))).toEqual(['beta', 'gamma', 'head', 'kernel']);
  },
);

test('a norm by running statistics leaves the bias before it its gradient', () => {
  const names = trained(withNorm('BatchNormalization', statistics, {}));
  expect(names).toEqual(['beta', 'bias', 'gamma', 'head', 'kernel']);
});

test('a norm over several channels leaves each its own', () => {
  const names = trained(withNorm('GroupNormalization', ['gamma', 'beta'], { num_groups: 1 }));
  expect(names).toEqual(['beta', 'bias', 'gamma', 'head', 'kernel']);
});

/** Four positions of three values; `change` is made to the keys, `hide` to the scores. */
const attention = (
  change: (builder: GraphBuilder, keys: string) => string,
  hide: (builder: GraphBuilder, scores: string) => string = (_, scores) => scores,
) =>
  modelOf([4, 3], (builder) => {
    const [queries = '', keys = '', values = ''] = ['query', 'key', 'value'].map((name) =>
      builder.node('Add', [
        builder.node('MatMul', ['x', weight(builder, name, [3, 4])]),
        weight(builder, `${name}.bias`, [4]),
      ]),
    );
    const heads = (value: string, perm: number[]) =>
      builder.node('Transpose', [builder.node('Reshape', [value, builder.ints([4], [-1, 4, 2, 2])])], {
        perm,
      });
    const turned = heads(change(builder, keys), [0, 2, 3, 1]);
    const scores = builder.node('MatMul', [heads(queries, [0, 2, 1, 3]), turned]);
    const shares = builder.node('Softmax', [
      hide(builder, builder.node('Div', [scores, builder.floats([], [2])])),
    ]);
    const mixed = builder.node('MatMul', [shares, heads(values, [0, 2, 1, 3])]);
    builder.node('Gemm', [builder.node('Flatten', [mixed]), weight(builder, 'head', [16, 3])], {}, 'logits');
  });

const mask = (number: number) => (builder: GraphBuilder, scores: string) => {
  const seen = builder.node('Less', [scores, builder.floats([], [3])]);
  return builder.node('Where', [seen, scores, builder.floats([], [number])]);
};

const angles = (builder: GraphBuilder) =>
  builder.node('Cast', [builder.ints([4, 1], [1, 2, 3, 4])], { to: 1 });

describe('an attention', () => {
  const all = ['head', 'key', 'query', 'query.bias', 'value', 'value.bias'];

  test('does not see what is the same for all keys', () => {
    expect(trained(attention((_, keys) => keys))).toEqual(all);
    expect(trained(attention((_, keys) => keys, mask(-Infinity)))).toEqual(all);
  });

  test('sees it where keys are turned by their position, or scores are replaced by others', () => {
    const turned = attention((builder, keys) => builder.node('Mul', [keys, angles(builder)]));
    expect(trained(turned)).toEqual(['head', 'key', 'key.bias', ...all.slice(2)]);
    expect(trained(attention((_, keys) => keys, mask(0)))).toEqual([
      'head',
      'key',
      'key.bias',
      ...all.slice(2),
    ]);
  });
});
