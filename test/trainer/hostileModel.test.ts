import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { isRoundtableError } from '#core/errors.js';
import { compileTraining } from '#trainer/compile/training.js';
import { readModel } from '#trainer/model.js';
import { GraphBuilder, encodeModel, valueInfo } from '#trainer/onnx/builder.js';
import { decodeModel } from '#trainer/onnx/decode.js';
import { floatTensor } from '#trainer/onnx/tensor.js';
import { cnn } from '../../examples/mnist/models.js';
import { edited, linear, modelOf, weight } from './models.js';

/** Reads a file that somebody made to do harm: the code of its refusal, within seconds on a busy machine and without much memory. */
function refusal(bytes: Uint8Array): string {
  const started = performance.now();
  const before = process.memoryUsage().heapUsed;
  try {
    readModel(bytes);
    return 'accepted';
  } catch (error) {
    if (!isRoundtableError(error)) throw error;
    return error.code;
  } finally {
    expect(performance.now() - started).toBeLessThan(5000);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(20 * bytes.length + 300e6);
  }
}

/** A protobuf field of the given bytes. */
function field(number: number, content: Uint8Array): Uint8Array {
  const length: number[] = [];
  let rest = content.length;
  for (; rest > 127; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
  return Uint8Array.of(number * 8 + 2, ...length, rest, ...(content.length < 1e5 ? content : []));
}

function wrap(number: number, content: Uint8Array): Uint8Array {
  const head = field(number, content);
  if (content.length < 1e5) return head;
  const whole = new Uint8Array(head.length + content.length);
  whole.set(head);
  whole.set(content, head.length);
  return whole;
}

const GRAPH = 7;

const conv = (attributes: Record<string, number | number[]>) =>
  modelOf([1, 4], (builder) => {
    const image = builder.node('Conv', ['x', weight(builder, 'k', [1, 1, 1])], attributes);
    builder.node('Flatten', [image], {}, 'logits');
  });

const chain = (length: number) => {
  const builder = new GraphBuilder();
  builder.constants.push(floatTensor('w', [3], Float32Array.of(1, 2, 3)));
  let value = builder.node('Add', ['x', 'w']);
  for (let i = 0; i < length; i++) value = builder.node('Relu', [value]);
  builder.node('Identity', [value], {}, 'logits');
  return encodeModel(builder.graph('chain', [valueInfo('x', ['n', 3])], [valueInfo('logits', ['n', 3])]), 18);
};

describe('a hostile file is refused quickly', () => {
  test('eight megabytes of empty nodes', () => {
    const nodes = new Uint8Array(8e6);
    for (let i = 0; i < nodes.length; i += 2) nodes[i] = 1 * 8 + 2;
    expect(refusal(wrap(GRAPH, nodes))).toBe('MODEL_NOT_ONNX');
  });

  test('eight megabytes of one-byte integers', () => {
    const tensor = wrap(7, new Uint8Array(8e6).fill(1));
    expect(refusal(wrap(GRAPH, wrap(5, tensor)))).toBe('MODEL_NOT_ONNX');
  });

  test('graphs nested within attributes of nodes of graphs', () => {
    let inner: Uint8Array = new Uint8Array();
    for (let depth = 0; depth < 5000; depth++) inner = wrap([1, 5, 6][depth % 3] ?? 1, inner);
    expect(refusal(wrap(GRAPH, inner))).toBe('MODEL_NOT_ONNX');
  });

  test('a field that claims four gigabytes', () => {
    expect(refusal(Uint8Array.of(GRAPH * 8 + 2, 0xff, 0xff, 0xff, 0xff, 0x0f, 1))).toBe('MODEL_NOT_ONNX');
  });

  test('nodes that form a cycle, or feed themselves', () => {
    const cycle = modelOf([3], (builder) => {
      builder.add('Add', ['x', 'second'], ['first']);
      builder.add('Add', ['first', weight(builder, 'w', [3])], ['second']);
      builder.node('Add', ['first', 'second'], {}, 'logits');
    });
    expect(refusal(cycle)).toBe('MODEL_NOT_ONNX');
    expect(
      refusal(
        modelOf(
          [3],
          (builder) => void builder.node('Add', ['logits', weight(builder, 'w', [3])], {}, 'logits'),
        ),
      ),
    ).toBe('MODEL_NOT_ONNX');
  });

  test('shapes of half a million dimensions', () => {
    const reshaped = modelOf([4], (builder) => {
      const sum = builder.node('Add', ['x', weight(builder, 'w', [4])]);
      builder.node('Reshape', [sum, builder.ints([500_000], Array<number>(500_000).fill(1))], {}, 'logits');
    });
    expect(refusal(reshaped)).toBe('MODEL_UNSUPPORTED');
    expect(
      refusal(
        modelOf(
          Array<number>(500).fill(1),
          (builder) => void builder.node('Add', ['x', weight(builder, 'w', [1])], {}, 'logits'),
        ),
      ),
    ).toBe('MODEL_UNSUPPORTED');
  });

  test.each([
    ['Concat', ['x', 'x'], 'axis'],
    ['MaxPool', ['x'], 'kernel_shape'],
    ['Cast', ['x'], 'to'],
  ])('a %s without an attribute that has no default', (operator, inputs, attribute) => {
    const lacking = modelOf([3], (builder) => {
      const node = builder.add(operator, inputs, ['h']);
      node.name = 'lacking';
      builder.node('Add', ['h', weight(builder, 'w', [1])], {}, 'logits');
    });
    expect(() => readModel(lacking)).toThrow(
      `The ${operator} node "lacking" lacks its attribute ${attribute}, for which ONNX has no default.`,
    );
  });

  test('a value that is made twice', () => {
    const twice = modelOf([3], (builder) => {
      builder.add('Relu', ['x'], ['h']);
      builder.add('Add', ['x', weight(builder, 'w', [3])], ['h']);
      builder.node('Relu', ['h'], {}, 'logits');
    });
    expect(refusal(edited(twice, ({ graph }) => void graph?.node.push(...(graph?.node ?? []))))).toBe(
      'MODEL_NOT_ONNX',
    );
  });

  test.each([
    ['more values than there are', [3n, 400n]],
    ['fewer values than there are', [3n, 1n]],
    ['a product beyond all numbers', [2n ** 40n, 2n ** 40n]],
    ['negative sizes', [-3n, -4n]],
    ['a thousand dimensions', Array<bigint>(1000).fill(1n)],
  ])('dims that promise %s', (_, dims) => {
    expect(
      refusal(edited(linear(), ({ graph }) => void Object.assign(graph?.initializer[0] ?? {}, { dims }))),
    ).toBe('MODEL_NOT_ONNX');
  });

  test('a small file whose values would fill the memory', () => {
    const padded = modelOf([1, 4], (builder) => {
      const image = builder.node('Conv', ['x', weight(builder, 'k', [1, 1, 1])], {
        pads: [2 ** 45, 2 ** 45],
      });
      builder.node('Flatten', [image], {}, 'logits');
    });
    expect(refusal(padded)).toBe('MODEL_UNSUPPORTED');
    const stretched = modelOf([30_000, 1], (builder) => {
      const wide = builder.node('Add', ['x', weight(builder, 'w', [1, 300_000])]);
      builder.node('Flatten', [wide], {}, 'logits');
    });
    expect(refusal(stretched)).toBe('MODEL_UNSUPPORTED');
  });

  test('strides, windows and groups of nought', () => {
    expect(refusal(conv({ strides: [0] }))).toBe('MODEL_SHAPE_MISMATCH');
    expect(refusal(conv({ dilations: [0] }))).toBe('MODEL_SHAPE_MISMATCH');
    expect(refusal(conv({ group: 0 }))).toBe('MODEL_SHAPE_MISMATCH');
    expect(refusal(conv({ group: -1 }))).toBe('MODEL_SHAPE_MISMATCH');
    expect(refusal(conv({ pads: [-1, 0] }))).toBe('MODEL_SHAPE_MISMATCH');
  });

  test('more nodes than any model has, and long chains below that are read', () => {
    expect(refusal(chain(50_000))).toBe('MODEL_UNSUPPORTED');
    expect(refusal(chain(5_000))).toBe('accepted');
  });

  test('a file cut off anywhere', () => {
    const whole = cnn();
    for (let length = 0; length < whole.length; length += 97)
      expect(refusal(whole.subarray(0, length))).toMatch(/^MODEL_/);
  });

  test('a file with any few bytes changed is read or refused, and never breaks the compiler', () => {
    const structure = readModel(cnn()).graph;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(structure.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const bytes = Uint8Array.from(structure);
          for (const [place, value] of changes) bytes[place] = value;
          for (const use of [readModel, compile]) {
            try {
              use(bytes);
            } catch (error) {
              if (!isRoundtableError(error)) throw error;
              expect(error.code).toMatch(/^MODEL_/);
            }
          }
        },
      ),
      { numRuns: 1500 },
    );
  });
});

test('tensor bytes are not copied while decoding', () => {
  const bytes = cnn();
  const { graph } = decodeModel(bytes);
  expect(graph?.initializer.every(({ rawData }) => rawData.buffer === bytes.buffer)).toBe(true);
});

function compile(graph: Uint8Array): void {
  compileTraining(graph, {
    loss: 'softmax_cross_entropy',
    optimizer: { name: 'sgd', lr: 0.1 },
    batch: 10,
    inputs: ['uint8'],
  });
}
