/**
 * Trains one exported model for a while, alone in a process so that its memory can be told. Argument: JSON of a Task;
 * prints one line of JSON. `bench -- train` starts it.
 */
import { readFileSync } from 'node:fs';
import ort from 'onnxruntime-node';
import { compileTraining } from '#trainer/compile/training.js';
import { readGraph } from '#trainer/graph.js';
import { readModel } from '#trainer/model.js';
import { blockSize } from '#trainer/run/blockSize.js';
import { peakMemory } from '#trainer/run/peakMemory.js';

export interface Task {
  readonly file: string;
  readonly batch: number;
  readonly sample: readonly number[];
  readonly classes: number;
  readonly tokens: boolean;
  readonly threads: number;
  readonly seconds: number;
}

const task = JSON.parse(process.argv[2] ?? '') as Task;
const samples = 640;
const { batch, classes, sample, tokens, threads, seconds } = task;
const block = await blockSize();
const began = performance.now();
const { graph, weights } = readModel(readFileSync(task.file));
const plan = compileTraining(graph, {
  loss: 'softmax_cross_entropy',
  optimizer: { name: 'sgd', lr: 0.01 },
  batch,
  inputs: [tokens ? 'int32' : 'float32'],
  ...(block === undefined ? {} : { block }),
});
const compileSeconds = (performance.now() - began) / 1000;
const session = await ort.InferenceSession.create(plan.model, {
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  graphOptimizationLevel: 'all',
  logSeverityLevel: 3,
});
const loadSeconds = (performance.now() - began) / 1000 - compileSeconds;
const size = sample.reduce((product, dim) => product * dim, samples);
const dims = [samples, ...sample];
const data = tokens
  ? new ort.Tensor(
      'int32',
      Int32Array.from({ length: size }, (_, i) => (i * 7919) % classes),
      dims,
    )
  : new ort.Tensor(
      'float32',
      Float32Array.from({ length: size }, (_, i) => Math.sin(i)),
      dims,
    );
const labelDims = tokens ? dims : [samples];
const labels = Int32Array.from(
  { length: labelDims.reduce((a, b) => a * b, 1) },
  (_, i) => (i * 31) % classes,
);
const initial = new Map(
  weights.map((weight) => [weight.name, new ort.Tensor('float32', weight.data, weight.dims)]),
);

await steps(2);
const each = (await steps(4)).wall / 4;
const count = Math.max(4, Math.round(seconds / each));
const { wall, cpu } = await steps(count);
console.log(
  JSON.stringify({
    rate: { wall: (count * batch) / wall, cpu: (count * batch) / cpu },
    nodes: readGraph(graph).nodes.length,
    compileSeconds,
    loadSeconds,
    parameters: weights.reduce((sum, weight) => sum + weight.data.length, 0),
    plannedBytes: plan.peakBytes,
    peakBytes: peakMemory(),
  }),
);
process.exit(0);

async function steps(number: number): Promise<{ wall: number; cpu: number }> {
  const order = Int32Array.from({ length: number * batch }, (_, i) => i % samples);
  const [started, used] = [performance.now(), process.cpuUsage()];
  await session.run({
    ...Object.fromEntries(plan.weights.map(({ name, before }) => [before, initial.get(name) as ort.Tensor])),
    [plan.names.data[0] ?? '']: data,
    [plan.names.labels]: new ort.Tensor('int32', labels, labelDims),
    [plan.names.order]: new ort.Tensor('int32', order, [number, batch]),
  });
  const spent = process.cpuUsage(used);
  return { wall: (performance.now() - started) / 1000, cpu: (spent.user + spent.system) / 1e6 };
}
