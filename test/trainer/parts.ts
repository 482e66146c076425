import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from '@jest/globals';
import { TrainingProcess } from '#trainer/run/trainingProcess.js';
import { OnnxRuntime } from './onnxRuntime.js';

const ends: (() => unknown)[] = [];
afterAll(async () => {
  for (const end of ends.toReversed()) await end();
});

/** A folder that is gone after the tests of its file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'roundtable-trainer-'));
  ends.push(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** A training process that ends with the tests of its file. */
export function startTraining(): TrainingProcess {
  const training = new TrainingProcess();
  ends.push(() => training.close());
  return training;
}

/** onnxruntime in a process that ends with the tests of its file. */
export function startRuntime(): OnnxRuntime {
  const runtime = new OnnxRuntime();
  ends.push(() => runtime.stop());
  return runtime;
}
