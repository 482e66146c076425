import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readJobFile, type Mistake } from '#cli/job/jobFile.js';
import { isRoundtableError, type RoundtableError } from '#core/errors.js';
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
