import { expect, test } from '@jest/globals';
import { compileGradients } from '#trainer/compile/gradients.js';
import { readModel } from '#trainer/model.js';
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
