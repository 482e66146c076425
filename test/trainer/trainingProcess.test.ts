import { fork } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { isRetryable } from '#core/errors.js';
import { TrainingProcess, type TrainProgress } from '#trainer/run/trainingProcess.js';
import { cnn } from '../../examples/mnist/models.js';
import { until } from '../support/until.js';
import { digits, fewSamples, readTensors, writeJob, writeSamples } from './job.js';
import { linear } from './models.js';
import { startTraining, temporaryFolder } from './parts.js';

const folder = temporaryFolder();
const training = startTraining();

const code = (expected: string) => expect.objectContaining({ code: expected });
const tiny = fewSamples(10);

describe('training the example network on real digits', () => {
  const train = digits(0, 600);
  let request: ReturnType<typeof writeJob>;
  beforeAll(() => void (request = writeJob(folder, cnn(), train, { epochs: 2 })));

  test('lowers the loss, recognises digits it has not seen, and reports on the way', async () => {
    const reports: TrainProgress[] = [];
    const result = await training.train(request, { onProgress: (progress) => reports.push(progress) });
    expect(result).toMatchObject({
      samples: 600,
      steps: 120,
      runtime: { onnxruntime: '1.30.0', provider: 'cpu', threads: 1 },
    });
    expect(result.runtime.cpu).toMatch(/^(avx512|avx2|sse|x64|arm64)$/);
    expect(reports[0]?.loss).toBeGreaterThan(2);
    expect(result.loss).toBeLessThan(1);
    expect(reports.at(-1)).toMatchObject({ step: 120, steps: 120, samples: 1200 });
    expect(reports.map(({ step }) => step)).toEqual(reports.map(({ step }) => step).sort((a, b) => a - b));

    const data = join(folder, 'held-out.safetensors');
    writeSamples(data, digits(600, 300));
    const [before, after] = [
      await training.evaluate({ graph: request.graph, weights: request.weights, data, batch: 128 }),
      await training.evaluate({ graph: request.graph, weights: request.out, data, batch: 128 }),
    ];
    expect(before.accuracy).toBeLessThan(0.3);
    expect(after).toMatchObject({ samples: 300, correct: Math.round((after.accuracy ?? 0) * 300) });
    expect(after.accuracy).toBeGreaterThan(0.75);
    expect(after.loss).toBeLessThan(before.loss);
  });

  test('gives the same bits again, also in another process, in smaller runs, and after being killed halfway', async () => {
    await training.train(request);
    const first = readFileSync(request.out);
    rmSync(request.out);
    await training.train(request);
    expect(readFileSync(request.out).equals(first)).toBe(true);

    const other = new TrainingProcess();
    try {
      rmSync(request.out);
      const killed = other.train(request, { onProgress: () => process.kill(other.pid ?? 0, 'SIGKILL') });
      await expect(killed).rejects.toThrow(code('TRAINING_CHILD_DIED'));
      expect(isRetryable(await killed.catch((error: unknown) => error))).toBe(true);
      expect(existsSync(request.out)).toBe(false);
      await other.train({ ...request, throttle: 2 });
      expect(readFileSync(request.out).equals(first)).toBe(true);
    } finally {
      await other.close();
    }
  });

  test('repeats to the bit with two threads as well', async () => {
    const two = new TrainingProcess({ threads: 2 });
    try {
      expect((await two.train(request)).runtime.threads).toBe(2);
      const first = readFileSync(request.out);
      await two.train(request);
      expect(readFileSync(request.out).equals(first)).toBe(true);
    } finally {
      await two.close();
    }
  });

  test('gives other bits for another seed', async () => {
    await training.train(request);
    const first = readFileSync(request.out);
    await training.train({ ...request, seed: new Uint8Array(32).fill(8) });
    expect(readFileSync(request.out).equals(first)).toBe(false);
  });

  test('takes longer by the throttle, for a machine that should stay usable', async () => {
    const plain = await training.train(request);
    const slow = await training.train({ ...request, throttle: 12 });
    expect(slow.seconds).toBeGreaterThan(4 * plain.seconds);
  });
});

test('pixels as uint8 train like the same pixels as float32', async () => {
  const { shape, x, y } = digits(0, 30);
  const pixels = writeJob(folder, cnn(), { shape, x, y });
  const floats = writeJob(folder, cnn(), {
    shape,
    x: Float32Array.from(x, (pixel) => pixel / 255),
    y: BigInt64Array.from(y, BigInt),
  });
  await training.train(pixels);
  await training.train(floats);
  expect(readTensors(floats.out)).toEqual(readTensors(pixels.out));
});

test('requests made at once are served one after the other', async () => {
  const requests = [0.1, 0.2, 0.3].map((lr) =>
    writeJob(folder, linear(), tiny, { optimizer: { name: 'sgd', lr } }),
  );
  const order: number[] = [];
  await Promise.all(
    requests.map(async (request, index) => {
      await training.train(request);
      order.push(index);
    }),
  );
  expect(order).toEqual([0, 1, 2]);
  expect(new Set(requests.map(({ out }) => readTensors(out)['b']?.[0])).size).toBe(3);
});

describe('a training that is called off', () => {
  test('ends with its process and leaves no result; the next one starts anew', async () => {
    const request = writeJob(folder, linear(), tiny, { epochs: 1_000_000 });
    const controller = new AbortController();
    let pid = 0;
    const aborted = training.train(request, {
      signal: controller.signal,
      onProgress: () => {
        pid = training.pid ?? 0;
        controller.abort();
      },
    });
    const queued = training.train({ ...request, epochs: 1 }, { signal: controller.signal });
    await expect(aborted).rejects.toThrow(code('TRAINING_ABORTED'));
    await expect(queued).rejects.toThrow(code('TRAINING_ABORTED'));
    expect(pid).toBeGreaterThan(0);
    expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
    expect(existsSync(request.out)).toBe(false);
    await training.train({ ...request, epochs: 1 });
    expect(training.pid).not.toBe(pid);
  });

  test('also when the whole process is closed', async () => {
    const other = new TrainingProcess();
    const request = writeJob(folder, linear(), tiny, { epochs: 1_000_000 });
    const closed = other.train(request, { onProgress: () => void other.close() });
    await expect(closed).rejects.toThrow(code('TRAINING_ABORTED'));
    await expect(other.train(request)).rejects.toThrow(code('TRAINING_ABORTED'));
    expect(other.pid).toBeUndefined();
  });

  test('the training process ends when its parent was killed', async () => {
    const script = join(folder, 'parent.mjs');
    const childPath = fileURLToPath(new URL('../../dist/runner/child.js', import.meta.url));
    const request = writeJob(folder, linear(), tiny, { epochs: 1_000_000 });
    writeFileSync(
      script,
      `import { fork } from 'node:child_process';
       const child = fork(${JSON.stringify(childPath)}, ['1'], { serialization: 'advanced' });
       child.on('message', () => process.send(child.pid));
       process.on('message', (request) => child.send({ kind: 'train', request }));`,
    );
    const parent = fork(script, { serialization: 'advanced', execArgv: [] });
    const pid = await new Promise<number>((resolve) => {
      parent.once('message', (message) => resolve(Number(message)));
      parent.send(request);
    });
    parent.kill('SIGKILL');
    await until(() => !isAlive(pid), 'the end of the training process');
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
