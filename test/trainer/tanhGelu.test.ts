import { describe, expect, test } from '@jest/globals';
import { findTanhGelus } from '#trainer/gradients/tanhGelu.js';
import { GraphBuilder } from '#trainer/onnx/builder.js';
import { inferShapes } from '#trainer/shapes.js';
import { writtenGelus } from './operators/writtenGelu.js';

/** What was taken for a Gelu, in a graph of one input. */
function found(build: (builder: GraphBuilder) => void, input = 'x'): string[] {
  const builder = new GraphBuilder();
  build(builder);
  const known = inferShapes(builder.nodes, builder.constants, new Map([[input, [2, 3]]]));
  return [...findTanhGelus(builder.nodes, known)].map(
    ([last, gelu]) => `${last.output[0]} = ${gelu.opType}(${gelu.input})`,
  );
}

describe('GELU by tanh is recognised where it is written out', () => {
  test.each(Object.entries(writtenGelus))('%s', (_, write) => {
    let result = '';
    expect(found((builder) => (result = write(builder)))).toEqual([`${result} = Gelu(x)`]);
  });

  test('also of a product', () => {
    const gelus = found((builder) => {
      builder.node('Mul', ['z', builder.floats([], [3])], {}, 'x');
      writtenGelus['as TorchScript does']?.(builder);
    }, 'z');
    expect(gelus).toEqual([expect.stringContaining('= Gelu(x)')]);
  });
});

const form = (build: (builder: GraphBuilder, one: string, half: string) => void) =>
  found((b) => build(b, b.floats([], [1]), b.floats([], [0.5])));
const inner = (b: GraphBuilder, factor = 0.044715) => {
  const cubed = b.node('Pow', ['x', b.floats([], [3])]);
  const sum = b.node('Add', ['x', b.node('Mul', [cubed, b.floats([], [factor])])]);
  return b.node('Tanh', [b.node('Mul', [sum, b.floats([], [Math.sqrt(2 / Math.PI)])])]);
};

const other = (b: GraphBuilder, one: string) => b.node('Mul', [b.node('Add', [inner(b, 0.05), one]), 'x']);

const gate = (b: GraphBuilder) => b.node('Sigmoid', ['x']);

describe('what is nearly one is left as it is', () => {
  test('without the one', () => {
    expect(form((b, _, half) => b.node('Mul', [b.node('Mul', [inner(b), half]), 'x']))).toEqual([]);
  });

  test('with another factor', () => {
    expect(form((b, one, half) => b.node('Mul', [other(b, one), half]))).toEqual([]);
    expect(form((b, one) => b.node('Mul', [b.node('Add', [inner(b), one]), 'x']))).toEqual([]);
  });

  test('times another value', () => {
    expect(
      form((b, one, half) => b.node('Mul', [b.node('Mul', [b.node('Add', [inner(b), one]), half]), gate(b)])),
    ).toEqual([]);
  });

  test('with a part that something else reads', () => {
    expect(
      form((b, one, half) => {
        const sum = b.node('Add', [inner(b), one]);
        b.node('Mul', [b.node('Mul', [sum, half]), 'x']);
        b.node('Neg', [sum]);
      }),
    ).toEqual([]);
  });

  test('where a long chain of sums lies before a tanh, in no time', () => {
    const began = performance.now();
    const gelus = form((b, one, half) => {
      let value = 'x';
      for (let length = 0; length < 5000; length++) value = b.node('Add', [value, value]);
      b.node('Mul', [b.node('Mul', [b.node('Add', [b.node('Tanh', [value]), one]), half]), 'x']);
    });
    expect(gelus).toEqual([]);
    expect(performance.now() - began).toBeLessThan(5000);
  });
});
