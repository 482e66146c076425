import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { createLayout, floatTensors, quantiseModel } from '#core/layout.js';
import { decodeSafetensors } from '#core/safetensors.js';
import { encodeVersion } from '#core/versionFile.js';
import { mnistDigits } from '#local/consortium/dataset.js';
import { encodeModel, GraphBuilder, valueInfo } from '#trainer/onnx/builder.js';
import { floatTensor } from '#trainer/onnx/tensor.js';
import { readModel, writeModel } from '#trainer/model.js';
import { examples, picture } from '#web/model/digit.js';
import { asOnnx, asSafetensors, openNetwork } from '#web/model/network.js';
import { fieldsOf, integer, numbersOf } from '#web/model/protobuf.js';
import { cnn, largeCnn, twoLayers } from '../../examples/mnist/models.js';
import { startRuntime } from '../trainer/parts.js';

const runtime = startRuntime();

/** What a version of this model has in the archive. */
function filesOf(file: Uint8Array) {
  const model = readModel(file);
  const layout = createLayout(model.weights);
  const params = quantiseModel(layout, model.weights);
  const parameters = encodeVersion(layout, params) as Uint8Array<ArrayBuffer>;
  return { files: { graph: model.graph, parameters }, weights: floatTensors(layout, params) };
}

const digit = mnistDigits().heldOut.x.slice(0, 784);

describe('a network in the page', () => {
  test.each([
    ['cnn', cnn(), [1, 1, 28, 28]],
    ['two layers', twoLayers(), [1, 784]],
    ['a padded cnn of 1.66 million parameters', largeCnn(), [1, 1, 28, 28]],
    ['one of everything', ofEverything(), [1, 1, 28, 28]],
  ])('computes what onnxruntime computes: %s', async (_, file, dims) => {
    const { files } = filesOf(file);
    const got = openNetwork(files).run(digit);
    const expected = await outputOf(asOnnx(files), dims);
    expect(got.length).toBe(expected.length);
    got.forEach((value, i) => expect(value).toBeCloseTo(expected[i] ?? NaN, 4));
  });

  test('refuses an operator that it does not know, by name', () => {
    const builder = new GraphBuilder();
    builder.constants.push(floatTensor('w', [4, 4], new Float32Array(16).fill(0.5)));
    builder.node('Erf', [builder.node('MatMul', ['x', 'w'])], {}, 'y');
    const file = encodeModel(
      builder.graph('main', [valueInfo('x', ['batch', 4])], [valueInfo('y', ['batch', 4])]),
      18,
    );
    expect(() => openNetwork(filesOf(file).files)).toThrow('Erf');
  });

  test('says how many values a network takes when it is shown something else', () => {
    expect(() => openNetwork(filesOf(cnn()).files).run(new Float32Array(3))).toThrow('784');
  });
});

describe('files to take along', () => {
  test('the ONNX file loads and computes what the command line writes', async () => {
    const { files, weights } = filesOf(cnn());
    const ours = await outputOf(asOnnx(files), [1, 1, 28, 28]);
    const theirs = await outputOf(writeModel(files.graph, weights), [1, 1, 28, 28]);
    expect(ours).toEqual(theirs);
  });

  test('the safetensors file holds every weight as the network computes with it', () => {
    const { files, weights } = filesOf(cnn());
    const { tensors } = decodeSafetensors(asSafetensors(files));
    expect([...tensors.keys()].sort()).toEqual(weights.map(({ name }) => name).sort());
    for (const { name, data, dims } of weights) {
      const { shape, data: bytes } = tensors.get(name) ?? { shape: [], data: new Uint8Array() };
      expect(shape).toEqual([...dims]);
      expect(new Float32Array(bytes.slice().buffer)).toEqual(data);
    }
  });
});

describe('a digit drawn by hand', () => {
  test('is 20 pixels large and in the middle by its centre of mass, wherever it was drawn', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 9 }),
        fc.double({ min: 0.1, max: 50, noNaN: true }),
        fc.double({ min: -100, max: 100, noNaN: true }),
        (which, scale, shift) => {
          const strokes = (examples[which] ?? []).map((stroke) =>
            stroke.map(([x, y]) => [x * scale + shift, y * scale - shift] as const),
          );
          const pixels = picture(strokes);
          const at = [...pixels.keys()].filter((i) => (pixels[i] ?? 0) > 0.5);
          const rows = at.map((i) => Math.floor(i / 28));
          const columns = at.map((i) => i % 28);
          const extent = Math.max(
            Math.max(...rows) - Math.min(...rows),
            Math.max(...columns) - Math.min(...columns),
          );
          expect(extent).toBeGreaterThanOrEqual(17);
          expect(extent).toBeLessThanOrEqual(21);
          const mass = pixels.reduce((sum, value) => sum + value, 0);
          const x = pixels.reduce((sum, value, i) => sum + value * ((i % 28) + 0.5), 0) / mass;
          expect(Math.abs(x - 14)).toBeLessThan(0.5);
        },
      ),
    );
  });

  test('nothing drawn is an empty picture', () => {
    expect(picture([]).every((value) => value === 0)).toBe(true);
  });
});

describe('protobuf', () => {
  test('reads numbers that it wrote', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), (value) => {
        expect(numbersOf(fieldsOf(integer(3, value)), 3)).toEqual([value]);
      }),
    );
  });

  test('bytes that are anything end in an error or in fields, never in a loop', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          expect(fieldsOf(bytes).length).toBeLessThanOrEqual(bytes.length);
        } catch (error) {
          expect((error as Error).message).toMatch(/^Not an ONNX file/);
        }
      }),
    );
  });
});

async function outputOf(file: Uint8Array, dims: readonly number[]): Promise<number[]> {
  const [outputs] = await runtime.run(file, [{ image: { type: 'float32', data: digit, dims } }]);
  return [...(outputs?.['logits']?.data ?? [])];
}

/** Groups, dilations, strides, padding, pools, normalisation, broadcasting. */
function ofEverything(): Uint8Array {
  const builder = new GraphBuilder();
  let seed = 1;
  const tensor = (name: string, shape: number[], positive = false) => {
    const size = shape.reduce((all, dim) => all * dim, 1);
    const values = Float32Array.from({ length: size }, () => {
      seed = (seed * 16_807) % 2_147_483_647;
      return positive ? 0.5 + seed / 2_147_483_647 : (2 * seed) / 2_147_483_647 - 1;
    });
    builder.constants.push(floatTensor(name, shape, values));
    return name;
  };
  let x = builder.node('Conv', ['image', tensor('a.weight', [4, 1, 3, 3]), tensor('a.bias', [4])], {
    kernel_shape: [3, 3],
    pads: [1, 0, 1, 2],
    strides: [2, 1],
  });
  x = builder.node('LeakyRelu', [x], { alpha: { float: 0.25 } });
  x = builder.node('Conv', [x, tensor('b.weight', [6, 2, 3, 3])], {
    kernel_shape: [3, 3],
    group: 2,
    dilations: [2, 2],
  });
  x = builder.node('AveragePool', [x], { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 1, 0, 1] });
  x = builder.node('Mul', [x, tensor('scale', [6, 1, 1])]);
  x = builder.node('Sigmoid', [x]);
  x = builder.node('GlobalAveragePool', [x]);
  x = builder.node('Flatten', [x], { axis: 1 });
  x = builder.node('MatMul', [x, tensor('c.weight', [6, 5])]);
  x = builder.node('Add', [x, tensor('c.bias', [5])]);
  x = builder.node('Tanh', [x]);
  x = builder.node('Sub', [x, tensor('shift', [1])]);
  builder.node('Div', [x, tensor('divisor', [1, 5], true)], {}, 'logits');
  return encodeModel(
    builder.graph('main', [valueInfo('image', ['batch', 1, 28, 28])], [valueInfo('logits', ['batch', 5])]),
    18,
  );
}
