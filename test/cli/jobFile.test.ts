import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readJobFile, type Mistake } from '#cli/job/jobFile.js';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { isRoundtableError, type RoundtableError } from '#core/errors.js';
import { encodeSafetensors } from '#core/safetensors.js';
import { readModel } from '#trainer/model.js';
import { encodeModel, GraphBuilder, valueInfo } from '#trainer/onnx/builder.js';
import {
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
} from '#trainer/onnx/onnx.gen.js';
import { floatTensor } from '#trainer/onnx/tensor.js';
import { encodeDataset } from '#local/consortium/dataset.js';
import { mlp } from '../../examples/mnist/models.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'roundtable-job-'));
  writeFileSync(join(folder, 'mlp.onnx'), mlp([4, 5, 3]));
  writeFileSync(join(folder, 'held-out.safetensors'), dataset(4));
  writeFileSync(join(folder, 'other.safetensors'), dataset(7));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const good = `version: 1
name: flowers
model: mlp.onnx
evaluation: held-out.safetensors
data:
  contract: flowers
  input: [4]
  classes: 3
rounds: 5
aggregation: { rule: fedavg, rate: 1/2 }
`;

const ruled = (robust: string, participants = 'quorum: all') =>
  good.replace('rate: 1/2', `rate: 1/2, robust: ${robust}`) + `participants: { ${participants} }\n`;

describe('a job file', () => {
  test('is read with the files that it names', () => {
    const source = read(good);
    expect(source.job.rounds).toBe(5);
    expect(source.job.aggregation).toEqual({ rule: 'fedavg', rate: { numerator: 1, denominator: 2 } });
    expect(source.model).toEqual(new Uint8Array(readFileSync(join(folder, 'mlp.onnx'))));
    expect(source.evaluation).not.toBeNull();
  });

  test('is told all its mistakes at once, each with its path and line', () => {
    const { mistakes, message } = refusal(`version: 2
name: My Job
model: absent.onnx
data:
  contract: flowers
  input: [0]
  clases: 3
rounds: many
training:
  optimizer: { name: lion, lr: 0.1 }
  batch: 0
aggregation: { rule: fedavg, rate: half }
participants:
  quorum: 0
`);
    expect(mistakes.map(({ path, line }) => [path, line])).toEqual([
      ['version', 1],
      ['name', 2],
      ['model', 3],
      ['data.classes', 4],
      ['data.input.0', 6],
      ['data.clases', 7],
      ['rounds', 8],
      ['training.optimizer.name', 10],
      ['training.batch', 11],
      ['aggregation.rate', 12],
      ['participants.quorum', 14],
    ]);
    expect(message).toContain('has 11 mistakes');
    expect(message).toContain('line 3, model: there is no file absent.onnx');
    expect(message).toContain('line 7, data.clases: there is no setting of this name');
  });

  test.each([
    ['a tab for indentation', 'version: 1\ndata:\n\tcontract: x\n', 3],
    ['a key twice', 'version: 1\nname: a\nname: b\n', 3],
  ])('that is not YAML (%s) is refused with the line', (_what, text, line) => {
    expect(refusal(text).mistakes.map((mistake) => mistake.line)).toContain(line);
  });

  describe('with a robust rule', () => {
    test('keeps it as it is written', () => {
      expect(read(ruled('{ rule: median }')).job.aggregation.robust).toEqual({ rule: 'median' });
      expect(read(ruled('{ rule: trimmed-mean, percent: 20 }', 'quorum: 5')).job.aggregation.robust).toEqual({
        rule: 'trimmed-mean',
        percent: 20,
      });
    });

    test.each([
      ['{ rule: mean }', 'quorum: 5', 'aggregation.robust.rule', /median/],
      ['{ rule: trimmed-mean }', 'quorum: 5', 'aggregation.robust.percent', /expected number/],
      [
        '{ rule: trimmed-mean, percent: 50 }',
        'quorum: 5',
        'aggregation.robust.percent',
        /nothing would be left/,
      ],
      ['{ rule: trimmed-mean, percent: 0.2 }', 'quorum: 5', 'aggregation.robust.percent', /int/],
      ['{ rule: trimmed-mean, percent: 20 }', 'quorum: 4', 'aggregation.robust', /a percent of at least 25/],
      ['{ rule: median }', 'quorum: 2', 'aggregation.robust', /median of 2 protects nobody/],
      ['{ rule: median }', 'quorum: 5, most: 2000', 'aggregation.robust', /participants.most is 2000/],
    ])('%s, where %s, is refused at its line', (robust, participants, path, message) => {
      expect(refusal(ruled(robust, participants)).mistakes).toEqual([
        { path, line: 10, message: expect.stringMatching(message) },
      ]);
    });
  });

  test('that is no mapping is refused', () => {
    expect(refusal('- 1\n- 2\n').mistakes[0]?.path).toBe('(top)');
  });

  test('that does not exist is NOT_FOUND', () => {
    expect(() => readJobFile(join(folder, 'nowhere.yaml'))).toThrow(
      expect.objectContaining({ code: 'NOT_FOUND' }),
    );
  });
});

describe('what a job file names', () => {
  test('must be an ONNX model', () => {
    expect(thrown(good.replace('mlp.onnx', 'held-out.safetensors')).code).toBe('MODEL_NOT_ONNX');
  });

  test('must be a model that meets the data', () => {
    expect(thrown(good.replace('[4]', '[5]')).code).toBe('MODEL_SHAPE_MISMATCH');
    expect(thrown(good.replace('classes: 3', 'classes: 4')).code).toBe('MODEL_SHAPE_MISMATCH');
  });

  test('must be held-out data of the same shape', () => {
    const { code, message } = thrown(good.replace('held-out', 'other'));
    expect(code).toBe('INVALID_INPUT');
    expect(message).toContain("shape [7], and the job's data.input is [4]");
  });
});

const numbers = (name: string, tensors: Record<string, { dtype: 'F32' | 'I64'; shape: number[] }>) => {
  const zeros = Object.entries(tensors).map(([key, { dtype, shape }]) => {
    const count = shape.reduce((product, extent) => product * extent, 1);
    return { name: key, dtype, shape, data: new Uint8Array(count * (dtype === 'F32' ? 4 : 8)) };
  });
  writeFileSync(join(folder, name), encodeSafetensors(zeros));
};
const withLoss = (text: string, loss: string) => `${text}training: { loss: ${loss} }\n`;

describe('a job of another loss', () => {
  test.each(['mse', 'bce_with_logits'])(
    '%s has labels that are numbers, in the shape of the output',
    (loss) => {
      numbers('numbers.safetensors', {
        x: { dtype: 'F32', shape: [2, 4] },
        y: { dtype: 'F32', shape: [2, 3] },
      });
      const text = withLoss(good.replace('classes: 3', 'classes: 0\n  labels: [3]'), loss);
      const source = read(text.replace('held-out', 'numbers'));
      expect(source.job.data).toMatchObject({ classes: 0, labels: [3] });
      expect(thrown(text.replace('[3]', '[2]').replace('held-out', 'numbers')).code).toBe(
        'MODEL_SHAPE_MISMATCH',
      );
      numbers('narrow.safetensors', {
        x: { dtype: 'F32', shape: [2, 4] },
        y: { dtype: 'F32', shape: [2, 2] },
      });
      expect(thrown(text.replace('held-out', 'narrow')).code).toBe('MODEL_SHAPE_MISMATCH');
    },
  );

  test('next_token has tokens and no labels', () => {
    const builder = new GraphBuilder();
    builder.constants.push(floatTensor('table', [7, 7], new Float32Array(49).fill(0.1)));
    builder.node('Gather', ['table', 'ids'], {}, 'logits');
    const graph = builder.graph(
      'bigrams',
      [valueInfo('ids', ['n', 5], 7)],
      [valueInfo('logits', ['n', 5, 7])],
    );
    writeFileSync(join(folder, 'bigrams.onnx'), encodeModel(graph, 18));
    numbers('tokens.safetensors', { x: { dtype: 'I64', shape: [2, 5] } });
    const text = withLoss(good, 'next_token')
      .replace('mlp', 'bigrams')
      .replace('held-out', 'tokens')
      .replace('[4]\n  classes: 3', '[5]\n  classes: 7\n  labels: null');
    expect(read(text).job.data).toEqual({ contract: 'flowers', input: [5], classes: 7, labels: null });
  });

  test('several inputs are named, each with its shape', () => {
    const builder = new GraphBuilder();
    builder.constants.push(floatTensor('w', [4, 3], new Float32Array(12).fill(0.1)));
    const sum = builder.node('Add', ['left', 'right']);
    builder.node('MatMul', [sum, 'w'], {}, 'logits');
    const inputs = ['left', 'right'].map((name) => valueInfo(name, ['n', 4]));
    const graph = builder.graph('two', inputs, [valueInfo('logits', ['n', 3])]);
    writeFileSync(join(folder, 'two.onnx'), encodeModel(graph, 18));
    const text = good.replace('mlp', 'two').replace('evaluation: held-out.safetensors', 'evaluation: null');
    expect(read(text.replace('[4]', '{ left: [4], right: [4] }')).job.data.input).toEqual({
      left: [4],
      right: [4],
    });
    expect(thrown(text).code).toBe('MODEL_SHAPE_MISMATCH');
    expect(refusal(text.replace('[4]', '{ left: [0] }')).mistakes[0]?.path).toBe('data.input.left.0');
  });

  test('statistics of norms can only be local where the model has some', () => {
    expect(thrown(`${good}training: { batchNorm: local }\n`).code).toBe('MODEL_UNSUPPORTED');
  });
});

test('a model that keeps weights in a file beside it is submitted as one file', () => {
  const model = fromBinary(ModelProtoSchema, mlp([4, 5, 3]));
  const [first] = model.graph?.initializer ?? [];
  if (!first) throw new Error('The model has no weights.');
  const weights = first.rawData;
  first.rawData = new Uint8Array();
  first.dataLocation = TensorProto_DataLocation.EXTERNAL;
  first.externalData = [create(StringStringEntryProtoSchema, { key: 'location', value: 'split.data' })];
  writeFileSync(join(folder, 'split.data'), weights);
  writeFileSync(join(folder, 'split.onnx'), toBinary(ModelProtoSchema, model));
  const source = read(good.replace('mlp.onnx', 'split.onnx'));
  expect(readModel(source.model)).toEqual(readModel(mlp([4, 5, 3])));
});

function read(text: string) {
  const path = join(folder, 'job.yaml');
  writeFileSync(path, text);
  return readJobFile(path);
}

function thrown(text: string): RoundtableError {
  try {
    read(text);
  } catch (error) {
    if (isRoundtableError(error)) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

function refusal(text: string): { mistakes: Mistake[]; message: string } {
  const { code, message, details } = thrown(text);
  expect(code).toBe('JOB_INVALID');
  return { message, mistakes: details['mistakes'] as Mistake[] };
}

function dataset(columns: number): Uint8Array {
  return encodeDataset({
    shape: [columns],
    classes: 3,
    x: new Float32Array(2 * columns),
    y: Int32Array.of(0, 1),
  });
}
