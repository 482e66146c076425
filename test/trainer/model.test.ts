import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { compareBytes } from '#core/bytes.js';
import { readModel, writeModel } from '#trainer/model.js';
import { type GraphBuilder, valueInfo } from '#trainer/onnx/builder.js';
import { TensorProto_DataLocation, TensorProto_DataType } from '#trainer/onnx/onnx.gen.js';
import { floatTensor, intTensor } from '#trainer/onnx/tensor.js';
import { cnn, twoLayers } from '../../examples/mnist/models.js';
import { edited, linear, metadata, modelOf, weight } from './models.js';
import { startRuntime } from './parts.js';

const code = (expected: string) => expect.objectContaining({ code: expected });

describe('readModel', () => {
  test('separates the graph from the weights, in byte order of their names', () => {
    const { weights, inputs, output } = readModel(cnn());
    expect(weights.map(({ name, dims }) => [name, dims.join('x')])).toEqual([
      ['conv1.bias', '8'],
      ['conv1.weight', '8x1x5x5'],
      ['conv2.bias', '16'],
      ['conv2.weight', '16x8x5x5'],
      ['fc.bias', '10'],
      ['fc.weight', '10x256'],
    ]);
    expect(weights.reduce((sum, { data }) => sum + data.length, 0)).toBe(5994);
    expect(inputs).toEqual([{ name: 'image', dims: ['batch', 1, 28, 28] }]);
    expect(output).toEqual({ name: 'logits', dims: ['batch', 10] });
    expect(readModel(twoLayers()).weights.reduce((sum, { data }) => sum + data.length, 0)).toBe(199_210);
  });

  test('orders names beyond the basic plane by their bytes, not by their UTF-16 units', () => {
    const { weights } = readModel(
      modelOf([4], (builder) => {
        builder.node(
          'Gemm',
          ['x', weight(builder, '\u{1f600}', [4, 3]), weight(builder, '\uffee', [3])],
          {},
          'logits',
        );
      }),
    );
    const names = weights.map(({ name }) => name);
    expect(names).toEqual(['\uffee', '\u{1f600}']);
    const bytes = names.map((name) => new TextEncoder().encode(name));
    expect(compareBytes(bytes[0] ?? new Uint8Array(), bytes[1] ?? new Uint8Array())).toBeLessThan(0);
  });

  test('gives the committed example the graph bytes it always had', () => {
    const file = readFileSync(new URL('../../examples/mnist/cnn.onnx', import.meta.url));
    const { graph } = readModel(file);
    expect(Buffer.from(file).equals(cnn())).toBe(true);
    expect(createHash('sha256').update(graph).digest('hex')).toBe(
      '117390d0788bc98e0e620184456a4dd058183dbdb58c97edef5932eb403d577a',
    );
  });

  test('gives the same graph for other weights, comments, storage and dead ends', () => {
    const one = readModel(linear());
    const other = edited(linear(Math.sin), (model) => {
      model.producerName = 'another exporter';
      model.metadataProps = [metadata('source', '/somewhere/train.py')];
      const { graph } = model;
      if (!graph) throw new Error('no graph');
      graph.docString = 'comment';
      for (const node of graph.node)
        Object.assign(node, { docString: 'line 3', metadataProps: [metadata('stack', 'line 3')] });
      for (const tensor of graph.initializer) {
        tensor.floatData = [...new Float32Array(new Uint8Array(tensor.rawData).buffer)];
        tensor.rawData = new Uint8Array();
        tensor.docString = 'weight';
      }
      graph.initializer.reverse();
      graph.initializer.push(floatTensor('unused', [2], Float32Array.of(1, 2)));
      graph.input.push(valueInfo('w', [3, 4]), valueInfo('b', [3]));
      graph.valueInfo = [valueInfo('logits', ['n', 3])];
    });
    const two = readModel(other);
    expect(Buffer.from(two.graph).equals(one.graph)).toBe(true);
    expect(two.weights.map(({ name }) => name)).toEqual(['b', 'w']);
    expect(two.weights[1]?.data[1]).toBe(Math.fround(Math.sin(1)));
  });

  test('gives another graph for another structure', () => {
    const relu = modelOf([4], (builder) => {
      const hidden = builder.node('Gemm', ['x', weight(builder, 'w', [3, 4]), weight(builder, 'b', [3])], {
        transB: 1,
      });
      builder.node('Relu', [hidden], {}, 'logits');
    });
    expect(Buffer.from(readModel(relu).graph).equals(readModel(linear()).graph)).toBe(false);
  });

  test('reads shapes from constants in any of their forms', () => {
    for (const write of [
      (builder: GraphBuilder) => builder.ints([2], [0, -1]),
      (builder: GraphBuilder) =>
        builder.node('Constant', [], { value: { tensor: intTensor('', [2], [0, -1]) } }),
      (builder: GraphBuilder) => builder.node('Constant', [], { value_ints: [0, -1] }),
      (builder: GraphBuilder) => builder.node('Identity', [builder.ints([2], [0, -1])]),
    ]) {
      const model = readModel(
        modelOf([2, 2], (builder) => {
          const flat = builder.node('Reshape', ['x', write(builder)]);
          builder.node('MatMul', [flat, weight(builder, 'w', [4, 3])], {}, 'logits');
        }),
      );
      expect(model.output.dims).toEqual(['batch', 3]);
    }
  });
});

describe('writeModel', () => {
  const runtime = startRuntime();

  test('makes an ordinary ONNX file that computes what the original computes', async () => {
    const original = cnn();
    const { graph, weights } = readModel(original);
    const image = {
      image: {
        type: 'float32' as const,
        data: Float32Array.from({ length: 1568 }, (_, i) => (i % 17) / 17),
        dims: [2, 1, 28, 28],
      },
    };
    const rewritten = writeModel(graph, weights);
    const [before] = await runtime.run(original, [image]);
    const [after] = await runtime.run(rewritten, [image]);
    expect(after?.['logits']?.dims).toEqual([2, 10]);
    expect(after?.['logits']?.data).toEqual(before?.['logits']?.data);
    expect(readModel(rewritten)).toEqual(readModel(original));
  });

  test('refuses weights that are not those of the graph', () => {
    const { graph, weights } = readModel(linear());
    const [b, w] = weights;
    if (!b || !w) throw new Error('two weights expected');
    expect(() => writeModel(graph, [w])).toThrow(code('MODEL_SHAPE_MISMATCH'));
    expect(() => writeModel(graph, [w, { ...b, dims: [4], data: new Float32Array(4) }])).toThrow(
      /b with shape \[3\].*\[4\]/,
    );
    expect(() => writeModel(graph, [w, b, { ...b, name: 'c' }])).toThrow(/unknown c/);
    expect(() => writeModel(graph, [w, b, b])).toThrow(code('MODEL_SHAPE_MISMATCH'));
  });
});

describe('a model that cannot be trained is refused with the reason', () => {
  test('not ONNX: text, nothing, an image', () => {
    expect(() => readModel(new TextEncoder().encode('{"model": "mine"}'))).toThrow(code('MODEL_NOT_ONNX'));
    expect(() => readModel(new Uint8Array())).toThrow(code('MODEL_NOT_ONNX'));
    expect(() => readModel(Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a))).toThrow(
      code('MODEL_NOT_ONNX'),
    );
  });

  test('external data, named by its tensor', () => {
    const external = edited(linear(), ({ graph }) => {
      const tensor = graph?.initializer[0];
      if (tensor)
        Object.assign(tensor, {
          rawData: new Uint8Array(),
          dataLocation: TensorProto_DataLocation.EXTERNAL,
          externalData: [metadata('location', '../../etc/passwd')],
        });
    });
    expect(() => readModel(external)).toThrow(code('MODEL_EXTERNAL_DATA'));
    expect(() => readModel(external)).toThrow(/tensor w /);
  });

  test('an unknown operator, with its node and the weight behind it', () => {
    const model = modelOf([4], (builder) => {
      const hidden = builder.node('MatMul', ['x', weight(builder, 'encoder.weight', [4, 3])]);
      builder.add('Hardmax', [hidden], ['logits']).name = 'encoder/activation';
    });
    expect(() => readModel(model)).toThrow(/Hardmax node "encoder\/activation".*encoder\.weight/);
    expect(() => readModel(model)).toThrow(
      expect.objectContaining({
        code: 'MODEL_UNKNOWN_OPERATOR',
        details: { operator: 'Hardmax', node: 'encoder/activation', weight: 'encoder.weight' },
      }),
    );
    const foreign = edited(
      linear(),
      ({ graph }) => void Object.assign(graph?.node[0] ?? {}, { domain: 'com.microsoft' }),
    );
    expect(() => readModel(foreign)).toThrow(/com\.microsoft\.Gemm/);
  });

  test('no trainable weights', () => {
    expect(() =>
      readModel(modelOf([3], (builder) => void builder.node('Relu', ['x'], {}, 'logits'))),
    ).toThrow(code('MODEL_NO_WEIGHTS'));
  });

  test('shapes that contradict each other, both said', () => {
    const model = modelOf(
      [5],
      (builder) => void builder.node('MatMul', ['x', weight(builder, 'w', [4, 3])], {}, 'logits'),
    );
    expect(() => readModel(model)).toThrow(/\[1, 5\] by \[4, 3\]/);
    expect(() => readModel(model)).toThrow(code('MODEL_SHAPE_MISMATCH'));
    const fixedBatch = modelOf([2, 2], (builder) => {
      const flat = builder.node('Reshape', ['x', builder.ints([2], [1, 4])]);
      builder.node('MatMul', [flat, weight(builder, 'w', [4, 3])], {}, 'logits');
    });
    expect(() => readModel(fixedBatch)).toThrow(/free batch size/);
  });

  test.each<[string, () => Uint8Array, RegExp]>([
    [
      'an old operator set',
      () => modelOf([4], (b) => void b.node('MatMul', ['x', weight(b, 'w', [4, 3])], {}, 'logits'), 12),
      /operator set 12/,
    ],
    [
      'a future operator set',
      () => modelOf([4], (b) => void b.node('MatMul', ['x', weight(b, 'w', [4, 3])], {}, 'logits'), 99),
      /operator set 99/,
    ],
    [
      'an input without a batch',
      () =>
        edited(
          modelOf([4], (b) => {
            const scaled = b.node('Mul', ['x', 'scale']);
            b.node('MatMul', [scaled, weight(b, 'w', [4, 3])], {}, 'logits');
          }),
          ({ graph }) => void graph?.input.push(valueInfo('scale', [])),
        ),
      /scale, a single number/,
    ],
    [
      'two outputs',
      () => edited(linear(), ({ graph }) => void graph?.output.push(valueInfo('w', [3, 4]))),
      /2 outputs/,
    ],
    [
      'an input of another type than float32 and integers',
      () =>
        edited(
          linear(),
          ({ graph }) =>
            void (graph && (graph.input = [valueInfo('x', ['n', 4], TensorProto_DataType.DOUBLE)])),
        ),
      /float32/,
    ],
    [
      'an open dimension besides the batch',
      () => modelOf(['width'], (b) => void b.node('MatMul', ['x', weight(b, 'w', [4, 3])], {}, 'logits')),
      /open dimension width/,
    ],
    [
      'weights of half precision',
      () =>
        edited(linear(), ({ graph }) =>
          graph?.initializer.forEach((tensor) =>
            Object.assign(tensor, {
              dataType: TensorProto_DataType.FLOAT16,
              rawData: tensor.rawData.slice(tensor.rawData.length / 2),
            }),
          ),
        ),
      /float16/,
    ],
    [
      'padding of a transposed convolution to be worked out',
      () =>
        modelOf([1, 5], (b) => {
          const same = b.node('ConvTranspose', ['x', weight(b, 'k', [1, 1, 3])], { auto_pad: 'SAME_UPPER' });
          b.node('MatMul', [b.node('Flatten', [same]), weight(b, 'w', [5, 3])], {}, 'logits');
        }),
      /auto_pad/,
    ],
  ])('%s', (_, make, message) => {
    expect(() => readModel(make())).toThrow(message);
    expect(() => readModel(make())).toThrow(code('MODEL_UNSUPPORTED'));
  });
});
