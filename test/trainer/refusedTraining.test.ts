import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { TrainingProcess } from '#trainer/run/trainingProcess.js';
import { cnn } from '../../examples/mnist/models.js';
import { digits, fewSamples, writeJob, writeWeightsFile } from './job.js';
import { linear, modelOf, weight } from './models.js';
import { startTraining, temporaryFolder } from './parts.js';

const folder = temporaryFolder();
const training = startTraining();

const code = (expected: string) => expect.objectContaining({ code: expected });
const tiny = fewSamples(10);

describe('what cannot be trained is refused with its reason', () => {
  test('a loss that explodes, with step, epoch and batch', async () => {
    const request = writeJob(folder, cnn(), digits(0, 200), {
      optimizer: { name: 'sgd', lr: 1e30 },
      epochs: 2,
    });
    const error: unknown = await training.train(request).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'TRAINING_NOT_FINITE',
      details: { step: expect.any(Number), epoch: expect.any(Number), batch: expect.any(Number) },
    });
    expect(String(error)).toMatch(/step \d+ of 40 \(epoch [12], batch \d+ of 20\)/);
    expect(existsSync(request.out)).toBe(false);
  });

  test('data with NaN, at the step that meets it', async () => {
    const x = Float32Array.from(tiny.x);
    x[17] = NaN;
    await refused(writeJob(folder, linear(), { ...tiny, x }, { batch: 1 })).toThrow(
      code('TRAINING_NOT_FINITE'),
    );
  });

  test('weights that only the last step made infinite', async () => {
    await refused(
      writeJob(
        folder,
        linear(),
        { ...tiny, x: tiny.x.map((value) => value * 1e30) },
        { batch: 10, optimizer: { name: 'sgd', lr: 1e20 } },
      ),
    ).toThrow(/weight [wb] became NaN or infinite in step 1 of 1/);
  });

  test('samples of another shape, both said', async () => {
    await refused(writeJob(folder, cnn(), { ...tiny })).toThrow(/\[1, 28, 28\].*\[4\]/);
    await refused(writeJob(folder, cnn(), { ...tiny })).toThrow(code('MODEL_SHAPE_MISMATCH'));
  });

  test('labels the model has no output for', async () => {
    await refused(writeJob(folder, linear(), { ...tiny, y: tiny.y.map((label) => label * 2) })).toThrow(
      /3 classes.*up to 4/,
    );
  });

  test('negative labels', async () => {
    await refused(
      writeJob(folder, linear(), { ...tiny, y: Int32Array.from(tiny.y, (label) => label - 1) }),
    ).toThrow(code('FORMAT_INVALID'));
  });

  test('weights of another model', async () => {
    const request = writeJob(folder, linear(), tiny);
    writeWeightsFile(request.weights, [{ name: 'w', dims: [3, 5], data: new Float32Array(15) }]);
    await refused(request).toThrow(code('MODEL_SHAPE_MISMATCH'));
  });

  test('a model whose output is not a row of classes', async () => {
    const image = modelOf(
      [1, 4],
      (builder) => void builder.node('Conv', ['x', weight(builder, 'k', [1, 1, 1])], {}, 'logits'),
    );
    await refused(writeJob(folder, image, { ...tiny, shape: [1, 4] })).toThrow(/\[batch, classes\]/);
  });

  test('files that are missing, cut off, or of other types', async () => {
    const request = writeJob(folder, linear(), tiny);
    await refused({ ...request, data: join(folder, 'nowhere') }).toThrow(code('NOT_FOUND'));
    await refused({ ...request, data: request.weights }).toThrow(/lacks the tensor x or y/);
    await refused({ ...request, graph: request.data }).toThrow(code('MODEL_NOT_ONNX'));
    writeFileSync(request.weights, readFileSync(request.weights).subarray(0, 40));
    await refused(request).toThrow(code('FORMAT_INVALID'));
  });

  test('a place for the result that does not exist', async () => {
    await refused(writeJob(folder, linear(), tiny, { out: join(folder, 'no', 'such', 'folder') })).toThrow(
      /cannot be written/,
    );
  });

  test('nonsense in the request, all of it named', async () => {
    await refused(
      writeJob(folder, linear(), tiny, {
        epochs: 0,
        batch: 1.5,
        optimizer: { name: 'sgd', lr: NaN },
        throttle: 0.5,
        prox: -1,
        seed: new Uint8Array(4),
      }),
    ).toThrow(/epochs.*batch.*lr.*prox.*throttle.*seed/);
  });

  test('no training process where one was expected', async () => {
    const other = new TrainingProcess({ childPath: join(folder, 'child.js') });
    await expect(other.train(writeJob(folder, linear(), tiny))).rejects.toThrow(/npm run build/);
    await other.close();
  });

  test('a training process that cannot start, with its last words', async () => {
    const script = join(folder, 'broken.mjs');
    writeFileSync(script, `console.error('the library is missing'); process.exit(3);`);
    const other = new TrainingProcess({ childPath: script });
    await expect(other.train(writeJob(folder, linear(), tiny))).rejects.toThrow(
      /exit code 3.*the library is missing/,
    );
    await other.close();
  });
});

function refused(request: ReturnType<typeof writeJob>) {
  return expect(training.train(request)).rejects;
}
