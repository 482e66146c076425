/**
 * Training against PyTorch, in the same run and with the same threads. Needs a Python with torch, onnx and onnxscript:
 * `BENCH_PYTHON=/path/to/python npm run bench -- train`; BENCH_COMPILE=1 adds torch.compile.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ort from 'onnxruntime-node';
import { compileTraining } from '#trainer/compile/training.js';
import { readModel } from '#trainer/model.js';
import type { Emit } from './main.js';

interface Shape {
  readonly model: string;
  readonly batch: number;
  readonly sample: number[];
  readonly classes: number;
  readonly tokens: boolean;
  /** By how PyTorch was used. */
  readonly rates: Record<string, Rate | null>;
}

/** Samples in a second of the clock, and in one of the processor: the second counts on a machine that is busy with others. */
interface Rate {
  readonly wall: number;
  readonly cpu: number;
}

const samples = 640;
const seconds = 2;

export async function run(emit: Emit): Promise<void> {
  const python = process.env['BENCH_PYTHON'];
  if (python === undefined) {
    emit({ skipped: 'Set BENCH_PYTHON to a Python with torch, onnx and onnxscript.' });
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'roundtable-bench-'));
  try {
    for (const threads of [1, 2]) {
      const compiled = process.env['BENCH_COMPILE'] === '1' ? '1' : '0';
      const said = execFileSync(
        python,
        ['bench/train.py', folder, String(threads), String(seconds), compiled],
        {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
        },
      );
      for (const line of said.split('\n').filter((text) => text.startsWith('{'))) {
        const shape = JSON.parse(line) as Shape;
        const ours = await measure(readFileSync(join(folder, `${shape.model}.onnx`)), shape, threads);
        const kinds = Object.entries(shape.rates).flatMap(([kind, rate]) =>
          rate ? [{ kind, ...rate }] : [],
        );
        const times = (by: keyof Rate) => ({
          eager: round(ours.rate[by] / (shape.rates['eager']?.[by] ?? NaN)),
          best: round(ours.rate[by] / Math.max(...kinds.map((rate) => rate[by]))),
        });
        emit({
          model: shape.model,
          batch: shape.batch,
          threads,
          parameters: ours.parameters,
          compileSeconds: round(ours.compileSeconds),
          samplesPerSecond: Math.round(ours.rate.wall),
          torch: Object.fromEntries(kinds.map(({ kind, wall }) => [kind, Math.round(wall)])),
          times: times('wall'),
          timesPerProcessorSecond: times('cpu'),
        });
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function measure(file: Uint8Array, shape: Shape, threads: number) {
  const began = performance.now();
  const { graph, weights } = readModel(file);
  const { batch, classes } = shape;
  const plan = compileTraining(graph, {
    loss: 'softmax_cross_entropy',
    optimizer: { name: 'sgd', lr: 0.01 },
    batch,
    inputs: [shape.tokens ? 'int32' : 'float32'],
  });
  const compileSeconds = (performance.now() - began) / 1000;
  const session = await ort.InferenceSession.create(plan.model, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  });
  const size = shape.sample.reduce((product, dim) => product * dim, samples);
  const dims = [samples, ...shape.sample];
  const data = shape.tokens
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
  const labelDims = shape.tokens ? dims : [samples];
  const labels = Int32Array.from(
    { length: labelDims.reduce((a, b) => a * b, 1) },
    (_, i) => (i * 31) % classes,
  );
  const initial = new Map(
    weights.map(({ name, data, dims }) => [name, new ort.Tensor('float32', data, dims)]),
  );
  const steps = async (count: number) => {
    const order = Int32Array.from({ length: count * batch }, (_, i) => i % samples);
    const [started, used] = [performance.now(), process.cpuUsage()];
    await session.run({
      ...Object.fromEntries(
        plan.weights.map(({ name, before }) => [before, initial.get(name) as ort.Tensor]),
      ),
      [plan.names.data[0] ?? '']: data,
      [plan.names.labels]: new ort.Tensor('int32', labels, labelDims),
      [plan.names.order]: new ort.Tensor('int32', order, [count, batch]),
    });
    const cpu = process.cpuUsage(used);
    return { wall: (performance.now() - started) / 1000, cpu: (cpu.user + cpu.system) / 1e6 };
  };
  await steps(2);
  const each = (await steps(4)).wall / 4;
  const count = Math.max(4, Math.round(seconds / each));
  const { wall, cpu } = await steps(count);
  const rate: Rate = { wall: (count * batch) / wall, cpu: (count * batch) / cpu };
  await session.release();
  const parameters = weights.reduce((sum, { data }) => sum + data.length, 0);
  return { rate, compileSeconds, parameters };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
