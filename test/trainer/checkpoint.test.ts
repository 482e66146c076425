import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { encodeSafetensors } from '#core/safetensors.js';
import { TrainingProcess, type TrainProgress } from '#trainer/run/trainingProcess.js';
import { cnn, twoLayers } from '../../examples/mnist/models.js';
import { digits, fewSamples, flatDigits, writeJob } from './job.js';
import { linear } from './models.js';
import { startTraining, temporaryFolder } from './parts.js';

const folder = temporaryFolder();
const training = startTraining();

const code = (expected: string) => expect.objectContaining({ code: expected });
const tiny = fewSamples(23);

test('a training that is killed goes on from its checkpoint and ends at the same bits', async () => {
  const change = {
    epochs: 6,
    optimizer: { name: 'adamw', lr: 0.001 },
    schedule: { name: 'cosine', warmup: 5 },
    clipNorm: 1,
    dropout: { 'fc.weight': 0.2 },
    throttle: 20,
    checkpoint: join(folder, 'checkpoint.safetensors'),
  } as const;
  const request = writeJob(folder, cnn(), digits(0, 405), change);
  const { checkpoint: _, ...whole } = request;
  const expected = await training.train({ ...whole, throttle: 1 });
  const bits = readFileSync(request.out);
  rmSync(request.out);

  const other = new TrainingProcess();
  try {
    const killed = other.train(request, {
      onProgress: () => void (existsSync(change.checkpoint) && process.kill(other.pid ?? 0, 'SIGKILL')),
    });
    await expect(killed).rejects.toThrow(code('TRAINING_CHILD_DIED'));
    const reports: TrainProgress[] = [];
    const result = await other.train(
      { ...request, throttle: 1 },
      { onProgress: (report) => reports.push(report) },
    );
    expect(reports[0]?.step).toBeGreaterThan(2);
    expect(result).toMatchObject({ steps: expected.steps, loss: expected.loss });
    expect(readFileSync(request.out).equals(bits)).toBe(true);
    expect(existsSync(change.checkpoint)).toBe(false);
  } finally {
    await other.close();
  }
});

test('a checkpoint of another training is not gone on from', async () => {
  const checkpoint = join(folder, 'other.safetensors');
  writeFileSync(checkpoint, encodeSafetensors([], { identity: 'another', position: '{"step":3}' }));
  const request = writeJob(folder, linear(), tiny, { checkpoint });
  const reports: TrainProgress[] = [];
  await training.train(request, { onProgress: (report) => reports.push(report) });
  expect(reports[0]?.step).toBe(1);
});

describe('limits', () => {
  test('of memory refuse a training before it starts', async () => {
    const request = writeJob(folder, twoLayers(), flatDigits(0, 100), { limits: { memoryBytes: 2 ** 20 } });
    await expect(training.train(request)).rejects.toThrow(code('TRAINING_MEMORY'));
    await expect(training.train(request)).rejects.toThrow(/would need \d+ MB.*allows 1 MB/);
  });

  test('of time stop it', async () => {
    const request = writeJob(folder, cnn(), digits(0, 300), { epochs: 50, limits: { seconds: 0.1 } });
    await expect(training.train(request)).rejects.toThrow(code('TRAINING_TIME'));
  });
});
