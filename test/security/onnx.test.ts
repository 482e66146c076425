import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { create, toBinary } from '@bufbuild/protobuf';
import { encodeSafetensors } from '#core/safetensors.js';
import { readModel } from '#trainer/model.js';
import {
  AttributeProto_AttributeType,
  ModelProtoSchema,
  NodeProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  type ModelProto,
} from '#trainer/onnx/onnx.gen.js';
import { TrainingProcess } from '#trainer/run/trainingProcess.js';
import { edited, linear, modelOf, weight } from '../trainer/models.js';
import { writeSamples, writeWeightsFile } from '../trainer/job.js';

/**
 * Models that somebody made to do harm, given to everything that opens one: the member's stack (readModel), the
 * runner's training, the worker's evaluator and `train check`, each in the child process that they use.
 */
const folder = mkdtempSync(join(tmpdir(), 'roundtable-hostile-'));
const child = new TrainingProcess({ memoryBytes: 1.5e9 });
const paths = {
  weights: join(folder, 'weights.safetensors'),
  data: join(folder, 'data.safetensors'),
  batch: join(folder, 'batch.safetensors'),
  case: join(folder, 'case.json'),
};

beforeAll(() => {
  writeWeightsFile(paths.weights, readModel(linear()).weights);
  writeSamples(paths.data, {
    shape: [4],
    x: new Float32Array(40),
    y: Uint8Array.from({ length: 10 }, () => 1),
  });
  const row = { dtype: 'F32' as const, shape: [1, 4], data: new Uint8Array(16) };
  writeFileSync(
    paths.batch,
    encodeSafetensors([
      { name: 'x/0', ...row },
      { name: 'y/0', dtype: 'I64', shape: [1], data: new Uint8Array(8) },
    ]),
  );
  writeFileSync(
    paths.case,
    JSON.stringify({ loss: 'softmax_cross_entropy_mean', trainable: ['w'], steps: 1 }),
  );
});
afterAll(async () => {
  await child.close();
  rmSync(folder, { recursive: true });
});

describe('a model file that was made to do harm is refused by name everywhere it is opened', () => {
  test.each<[string, string, () => Uint8Array]>([
    ['keeps its weights in /etc/passwd', 'MODEL_EXTERNAL_DATA', () => external('/etc/passwd')],
    [
      'keeps its weights outside of its folder',
      'MODEL_EXTERNAL_DATA',
      () => external('../../../../etc/passwd'),
    ],
    ['has a million nodes', 'MODEL_NOT_ONNX', () => nodes(1_000_000)],
    ['has a hundred thousand nodes', 'MODEL_UNSUPPORTED', () => nodes(100_000)],
    ['has a Loop that never ends', 'MODEL_UNKNOWN_OPERATOR', () => endless('Loop')],
    ['has a Scan', 'MODEL_UNKNOWN_OPERATOR', () => endless('Scan')],
    ['has an If within an If', 'MODEL_UNKNOWN_OPERATOR', () => endless('If')],
    ['has an operator of its own', 'MODEL_UNKNOWN_OPERATOR', () => endless('Relu', 'com.attacker')],
    ['has a function in place of an operator', 'MODEL_UNKNOWN_OPERATOR', () => endless('Evil')],
    ['feeds a node with its own output', 'MODEL_NOT_ONNX', () => cyclic()],
    ['makes one value twice', 'MODEL_NOT_ONNX', () => repeated()],
    ['has two initialisers of one name', 'MODEL_NOT_ONNX', () => doubled()],
    ['declares two gigabytes in a hundred bytes', 'MODEL_NOT_ONNX', () => declared([2n ** 29n])],
    ['declares dims that overflow 64 bits', 'MODEL_NOT_ONNX', () => declared([2n ** 62n, 8n])],
    ['declares negative dims whose product is right', 'MODEL_NOT_ONNX', () => declared([-3n, -4n])],
    ['nests graphs three thousand deep', 'MODEL_NOT_ONNX', () => nested(3_000)],
    ['is empty', 'MODEL_NOT_ONNX', () => new Uint8Array()],
    [
      'claims to be longer than it is',
      'MODEL_NOT_ONNX',
      () => Uint8Array.of(0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f),
    ],
  ])('one that %s', async (_, code, make) => {
    const file = make();
    const path = join(folder, 'hostile.onnx');
    writeFileSync(path, file);
    expect(refusalOf(() => readModel(file))).toBe(code);

    const refused = expect.objectContaining({ code });
    const model = { graph: path, weights: paths.weights, data: paths.data };
    const began = performance.now();
    await expect(child.evaluate({ ...model, batch: 10 })).rejects.toEqual(refused);
    await expect(
      child.train({
        ...model,
        out: join(folder, 'out.safetensors'),
        loss: 'softmax_cross_entropy',
        optimizer: { name: 'sgd', lr: 0.1 },
        epochs: 1,
        batch: 10,
        seed: new Uint8Array(32),
      }),
    ).rejects.toEqual(refused);
    await expect(
      child.check({ model: path, batch: paths.batch, reference: paths.batch, case: paths.case }),
    ).rejects.toEqual(refused);
    expect(performance.now() - began).toBeLessThan(20_000);
  });
});

describe('a model that can be read but asks for too much ends the child and nothing else', () => {
  test('one that fills the memory', async () => {
    // 2^30 values of 4 bytes from a file of some hundred bytes.
    const model = modelOf([4], (builder) => {
      const wide = builder.node('Tile', ['x', builder.ints([2], [1, 2 ** 28])]);
      const sum = builder.node('ReduceSum', [wide, builder.ints([1], [1])], { keepdims: 1 });
      builder.node('Add', [sum, weight(builder, 'w', [3])], {}, 'logits');
    });
    await expect(evaluation(model)).rejects.toMatchObject({
      code: 'TRAINING_LIMIT',
      message: expect.stringMatching(/of memory/),
    });
    await expect(evaluation(linear())).resolves.toMatchObject({ samples: 10 });
  });

  test('one that computes for hours', async () => {
    const slow = modelOf([4], (builder) => {
      const one = builder.node('ReduceSum', ['x', builder.ints([2], [0, 1])], { keepdims: 1 });
      let square = builder.node('Expand', [one, builder.ints([2], [2_048, 2_048])]);
      for (let i = 0; i < 2_000; i++) square = builder.node('MatMul', [square, square]);
      const none = builder.node('ReduceSum', [square, builder.ints([2], [0, 1])], { keepdims: 1 });
      const sum = builder.node('ReduceSum', ['x', builder.ints([1], [1])], { keepdims: 1 });
      const both = builder.node('Add', [sum, none]);
      builder.node('Add', [both, weight(builder, 'w', [3])], {}, 'logits');
    });
    const began = performance.now();
    await expect(evaluation(slow, 1)).rejects.toMatchObject({
      code: 'TRAINING_LIMIT',
      message: expect.stringMatching(/not done after 1 s/),
    });
    expect(performance.now() - began).toBeLessThan(15_000);
    await expect(evaluation(linear())).resolves.toMatchObject({ samples: 10 });
  });
});

async function evaluation(file: Uint8Array, seconds = 60) {
  const { graph, weights } = readModel(file);
  const place = mkdtempSync(join(folder, 'model-'));
  writeFileSync(join(place, 'graph.onnx'), graph);
  writeWeightsFile(join(place, 'weights.safetensors'), weights);
  return child.evaluate(
    {
      graph: join(place, 'graph.onnx'),
      weights: join(place, 'weights.safetensors'),
      data: paths.data,
      batch: 1,
    },
    { seconds },
  );
}

function refusalOf(read: () => unknown): string {
  try {
    read();
    return 'accepted';
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error;
    return String(error.code);
  }
}

function external(location: string): Uint8Array {
  return edited(linear(), ({ graph }) => {
    for (const tensor of graph?.initializer ?? [])
      Object.assign(tensor, {
        rawData: new Uint8Array(),
        dataLocation: TensorProto_DataLocation.EXTERNAL,
        externalData: [create(StringStringEntryProtoSchema, { key: 'location', value: location })],
      });
  });
}

function declared(dims: bigint[]): Uint8Array {
  return edited(linear(), ({ graph }) => {
    for (const tensor of graph?.initializer ?? []) Object.assign(tensor, { dims });
  });
}

function nodes(count: number): Uint8Array {
  return edited(linear(), ({ graph }) => {
    const relu = create(NodeProtoSchema, { opType: 'Relu', input: ['x'], output: ['y'] });
    graph?.node.push(...Array.from({ length: 1_000 }, () => relu));
    for (let done = 1_000; done < count; done += 1_000)
      graph?.node.push(...Array<typeof relu>(1_000).fill(relu));
  });
}

function endless(opType: string, domain = ''): Uint8Array {
  return edited(linear(), (model) => {
    const body = model.graph;
    const [node] = model.graph?.node ?? [];
    if (!node || !body) throw new Error('the example has no node');
    const inner = structuredCloneOf(model).graph;
    Object.assign(node, {
      opType,
      domain,
      attribute: [
        {
          $typeName: 'onnx.AttributeProto',
          name: 'body',
          type: AttributeProto_AttributeType.GRAPH,
          g: inner,
          ints: [],
          floats: [],
          strings: [],
          tensors: [],
          graphs: [],
          sparseTensors: [],
          typeProtos: [],
        },
      ],
    });
  });
}

function structuredCloneOf(model: ModelProto): ModelProto {
  let copy: ModelProto | undefined;
  edited(toBinary(ModelProtoSchema, model), (decoded) => void (copy = decoded));
  if (!copy) throw new Error('the model was not decoded');
  return copy;
}

function cyclic(): Uint8Array {
  return modelOf([3], (builder) => {
    builder.add('Add', ['x', 'b'], ['a']);
    builder.add('Add', ['a', weight(builder, 'w', [3])], ['b']);
    builder.node('Identity', ['b'], {}, 'logits');
  });
}

function repeated(): Uint8Array {
  return modelOf([3], (builder) => {
    builder.add('Relu', ['x'], ['h']);
    builder.add('Add', ['x', weight(builder, 'w', [3])], ['h']);
    builder.node('Relu', ['h'], {}, 'logits');
  });
}

/** Initialisers for those that read models, inputs for those that read graphs without weights. */
function doubled(): Uint8Array {
  return edited(linear(), ({ graph }) => {
    graph?.initializer.push(...graph.initializer);
    graph?.input.push(...graph.input);
  });
}

/** Protobuf fields within each other: node, attribute, graph and so on. */
function nested(depth: number): Uint8Array {
  let inner: number[] = [];
  for (let level = 0; level < depth; level++)
    inner = [([1, 5, 6][level % 3] ?? 1) * 8 + 2, ...lengthOf(inner.length), ...inner];
  return Uint8Array.from([0x3a, ...lengthOf(inner.length), ...inner]);
}

/** A protobuf varint. */
function lengthOf(length: number): number[] {
  const bytes: number[] = [];
  let rest = length;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return [...bytes, rest];
}
