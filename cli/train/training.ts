import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { LossName } from '#trainer/loss.js';
import { readModel, writeModel, type ReadOptions } from '#trainer/model.js';
import type { Optimizer } from '#trainer/optimizers.js';
import { whatIsTrained } from '#trainer/trained.js';
import { readWeights, writeWeights } from '#trainer/run/files.js';
import { readModelFile } from '#trainer/run/modelFile.js';
import { TrainingProcess, type TrainRequest, type TrainResult } from '#trainer/run/trainingProcess.js';
import { UsageError, type Context } from '../command.js';
import { openRegion } from '../progress/progress.js';
import { count, seconds } from '../terminal/format.js';
import { bar } from '../terminal/text.js';
import { lossCurve } from './curve.js';
import { readSamples } from './samples.js';

export interface TrainOptions {
  model?: string;
  data?: string;
  label?: string;
  loss: LossName;
  optimizer: 'sgd' | 'momentum' | 'nesterov' | 'adam' | 'adamw';
  lr?: number;
  epochs: number;
  batch: number;
  threads: number;
  seed: string;
  out?: string;
  schedule: 'constant' | 'cosine';
  warmup: number;
  weightDecay?: number;
  undecayed?: string[];
  clip?: number;
  labelSmoothing?: number;
  ignoredLabel?: number;
  batchNorm: 'frozen' | 'local';
  accumulate: number;
  dropout?: Record<string, number>;
  train?: string[];
  lora?: string[];
  rank: number;
  alpha?: number;
  freezeA?: boolean;
  determinism: 'bits' | 'fast';
  memory?: number;
  checkpoint?: string;
}

/** `roundtable train`: reads, trains in a child process, shows how it goes, and writes the model. */
export async function trainModel(context: Context, options: TrainOptions): Promise<void> {
  if (options.model === undefined || options.data === undefined)
    throw new UsageError('Name a model with --model and data with --data.');
  if (options.threads !== 1 && options.threads !== 2) throw new UsageError('--threads is 1 or 2.');
  const path = (file: string) => resolve(context.folder, file);
  const file = readModelFile(path(options.model));
  const model = readModel(file, readOptions(options));
  const folder = mkdtempSync(join(tmpdir(), 'roundtable-train-'));
  const files = {
    graph: join(folder, 'graph.onnx'),
    weights: join(folder, 'weights.safetensors'),
    data: join(folder, 'data.safetensors'),
    out: join(folder, 'trained.safetensors'),
  };
  const statistics = join(folder, 'statistics.safetensors');
  const isLocal = options.batchNorm === 'local';
  const training = new TrainingProcess({ threads: options.threads });
  const theme = context.terminal.theme();
  const shown = !context.json && context.terminal.canRedraw;
  const region = openRegion(context.terminal);
  const losses: number[] = [];
  try {
    writeFileSync(files.graph, model.graph);
    await writeWeights(files.weights, model.weights);
    const [input] = model.inputs;
    const sample = (input?.dims ?? []).slice(1).map(Number);
    writeFileSync(files.data, readSamples(path(options.data), options.label, sample));
    const result = await training.train(
      {
        ...files,
        loss: options.loss,
        optimizer: optimizerOf(options),
        epochs: options.epochs,
        batch: options.batch,
        seed: createHash('sha256').update(options.seed).digest(),
        determinism: options.determinism,
        ...requestOf(options),
        ...(isLocal ? { statistics: { out: statistics } } : {}),
        ...(options.checkpoint === undefined ? {} : { checkpoint: path(options.checkpoint) }),
      },
      {
        signal: context.signal,
        onProgress: ({ step, steps, loss, samplesPerSecond }) => {
          losses.push(loss);
          if (!shown) return;
          region.draw(
            [],
            [
              `${bar(theme, step / steps, 30)} ${count(step)} of ${count(steps)} steps   loss ${loss.toFixed(4)}   ${count(Math.round(samplesPerSecond))} samples/s`,
            ],
          );
        },
      },
    );
    if (shown) region.clear();
    if (options.out !== undefined)
      writeFileSync(
        path(options.out),
        writeModel(model.graph, await readWeights(files.out), isLocal ? await readWeights(statistics) : []),
      );
    const pace = (result.samples * options.epochs) / result.seconds;
    context.print(
      {
        ...result,
        losses,
        samplesPerSecond: pace,
        ...(options.out === undefined ? {} : { out: options.out }),
      },
      () => [
        ...lossCurve(theme, losses),
        `${count(result.steps)} steps over ${count(result.samples)} samples in ${seconds(result.seconds)}: loss ${result.loss.toFixed(4)} in the last epoch, ${count(Math.round(pace))} samples/s`,
        `${count(model.weights.reduce((sum, { data }) => sum + data.length, 0))} values were trained; ${megabytes(result.memory.planned)} of memory were planned, ${megabytes(result.memory.peak)} used`,
        ...(result.energy ? [energyLine(result.energy)] : []),
        ...(options.out === undefined ? [] : [`The trained model is in ${options.out}.`]),
      ],
    );
  } finally {
    if (shown) region.clear();
    await training.close();
    rmSync(folder, { recursive: true });
  }
}

function readOptions({ train, lora, rank, alpha, freezeA, batchNorm }: TrainOptions): ReadOptions {
  return whatIsTrained({
    batchNorm,
    ...(train ? { trainable: train } : {}),
    ...(lora
      ? {
          lora: {
            match: lora,
            rank,
            ...(alpha === undefined ? {} : { alpha }),
            ...(freezeA ? { freezeA } : {}),
          },
        }
      : {}),
  });
}

/** The options that are passed on as they are. */
function requestOf(options: TrainOptions): Partial<TrainRequest> {
  const { schedule, warmup, undecayed, clip, labelSmoothing, ignoredLabel } = options;
  const { accumulate, dropout, memory } = options;
  return {
    ...(schedule !== 'constant' || warmup > 0 ? { schedule: { name: schedule, warmup } } : {}),
    ...(undecayed ? { undecayed } : {}),
    ...(clip === undefined ? {} : { clipNorm: clip }),
    ...(labelSmoothing === undefined ? {} : { labelSmoothing }),
    ...(ignoredLabel === undefined ? {} : { ignoredLabel }),
    ...(accumulate > 1 ? { accumulate } : {}),
    ...(dropout ? { dropout } : {}),
    ...(memory === undefined ? {} : { limits: { memoryBytes: memory * 2 ** 20 } }),
  };
}

function optimizerOf({ optimizer, lr, weightDecay }: TrainOptions): Optimizer {
  const decay = weightDecay === undefined ? {} : { weightDecay };
  switch (optimizer) {
    case 'adam':
    case 'adamw':
      return { name: optimizer, lr: lr ?? 0.001, ...decay };
    case 'sgd':
      return { name: 'sgd', lr: lr ?? 0.1, ...decay };
    case 'momentum':
    case 'nesterov':
      return { name: 'sgd', lr: lr ?? 0.1, momentum: 0.9, nesterov: optimizer === 'nesterov', ...decay };
  }
}

function energyLine({ joules, source }: NonNullable<TrainResult['energy']>): string {
  const whose = source === 'rapl' ? "of all the machine's processors" : 'of the GPU';
  return `${count(Math.round(joules))} J were used, ${whose} (${source})`;
}

function megabytes(bytes: number): string {
  return `${count(Math.round(bytes / 2 ** 20))} MB`;
}
