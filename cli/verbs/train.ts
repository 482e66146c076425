import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { InvalidArgumentError, Option } from 'commander';
import { isRoundtableError } from '#core/errors.js';
import type { CheckResult } from '#trainer/check/check.js';
import { lossNames, type LossName } from '#trainer/loss.js';
import { readModel, writeModel } from '#trainer/model.js';
import type { Optimizer } from '#trainer/optimizers.js';
import { readWeights, writeWeights } from '#trainer/run/files.js';
import { TrainingProcess } from '#trainer/run/trainingProcess.js';
import { addVerb, CheckFailed, UsageError, type Context } from '../command.js';
import { openRegion } from '../progress/progress.js';
import type { Verb } from '../run.js';
import { paint, type Theme } from '../terminal/theme.js';
import { count, seconds } from '../terminal/format.js';
import { bar, table } from '../terminal/text.js';
import { lossCurve } from '../train/curve.js';
import { readSamples } from '../train/samples.js';

export const trainVerbs: Verb = (program, does) => {
  const train = program
    .command('train')
    .description('train an ONNX model here, without a stack: data as IDX, NPZ, safetensors or CSV');

  train
    .command('run', { isDefault: true })
    .description('train; `roundtable train --model ...` without `run` does the same')
    .addHelpText(
      'after',
      '\nExample:\n  $ roundtable train run --model cnn.onnx --data train-images-idx3-ubyte.gz --epochs 2 --out trained.onnx',
    )
    .option('--model <file>', 'an ONNX file as an exporter wrote it')
    .option('--data <file>', 'IDX images (labels beside them), NPZ or safetensors with x and y, or CSV')
    .option('--label <column>', 'CSV: the column of the class (default: the last)')
    .addOption(
      new Option('--loss <name>', 'what is minimised').choices(lossNames).default('softmax_cross_entropy'),
    )
    .addOption(
      new Option('--optimizer <name>', 'how')
        .choices(['sgd', 'momentum', 'nesterov', 'adam', 'adamw'])
        .default('sgd'),
    )
    .option('--lr <rate>', 'learning rate (default: 0.1, of Adam 0.001)', number)
    .option('--epochs <count>', 'passes over the data', number, 1)
    .option('--batch <samples>', 'samples a step', number, 32)
    .option('--threads <count>', '1 or 2', number, 1)
    .option('--seed <text>', 'decides the order of the samples', '0')
    .option('--out <file>', 'where to write the trained model')
    .action(does<TrainOptions>(trainModel));

  addVerb(
    train,
    'check',
    'compare the trainer with a reference made by PyTorch (exit code 1 beyond the tolerance, 2 where the model cannot be trained)',
    'train check --model mlp.onnx --batch batch.safetensors --reference reference.safetensors --case case.json',
  )
    .requiredOption('--model <file>', 'an ONNX file as an exporter wrote it')
    .requiredOption('--batch <file>', 'safetensors with x/k and y/k for the steps k')
    .requiredOption('--reference <file>', 'safetensors with init/NAME, grad/NAME, sgd/NAME and so on')
    .requiredOption('--case <file>', 'JSON: loss, trainable, optimizers, tolerance')
    .action(
      does<{ model: string; batch: string; reference: string; case: string }>(async (context, options) => {
        const path = (file: string) => resolve(context.folder, file);
        const training = new TrainingProcess();
        try {
          const result = await training.check(
            {
              model: path(options.model),
              batch: path(options.batch),
              reference: path(options.reference),
              case: path(options.case),
            },
            { signal: context.signal },
          );
          context.print(result, () => checkLines(context.terminal.theme(), result));
          if (!result.passed) throw new CheckFailed('The trainer and the reference differ.');
        } catch (error) {
          // A graph that cannot be trained is another answer than one that is trained wrongly.
          if (!isRoundtableError(error) || !error.code.startsWith('MODEL_')) throw error;
          context.print({ passed: false, error: { code: error.code, message: error.message } }, () => []);
          throw new UsageError(error.message);
        } finally {
          await training.close();
        }
      }),
    );
};

interface TrainOptions {
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
}

async function trainModel(context: Context, options: TrainOptions): Promise<void> {
  if (options.model === undefined || options.data === undefined)
    throw new UsageError('Name a model with --model and data with --data.');
  if (options.threads !== 1 && options.threads !== 2) throw new UsageError('--threads is 1 or 2.');
  const path = (file: string) => resolve(context.folder, file);
  const model = readModel(readFileSync(path(options.model)));
  const folder = mkdtempSync(join(tmpdir(), 'roundtable-train-'));
  const files = {
    graph: join(folder, 'graph.onnx'),
    weights: join(folder, 'weights.safetensors'),
    data: join(folder, 'data.safetensors'),
    out: join(folder, 'trained.safetensors'),
  };
  const training = new TrainingProcess({ threads: options.threads });
  const theme = context.terminal.theme();
  const shown = !context.json && context.terminal.canRedraw;
  const region = openRegion(context.terminal);
  const losses: number[] = [];
  try {
    writeFileSync(files.graph, model.graph);
    await writeWeights(files.weights, model.weights);
    const sample = model.input.dims.slice(1).map(Number);
    writeFileSync(files.data, readSamples(path(options.data), options.label, sample));
    const began = performance.now();
    const result = await training.train(
      {
        ...files,
        loss: options.loss,
        optimizer: optimizerOf(options),
        epochs: options.epochs,
        batch: options.batch,
        seed: createHash('sha256').update(options.seed).digest(),
      },
      {
        signal: context.signal,
        onProgress: ({ step, steps, samples, loss }) => {
          losses.push(loss);
          const pace = samples / ((performance.now() - began) / 1000);
          if (!shown) return;
          region.draw(
            [],
            [
              `${bar(theme, step / steps, 30)} ${count(step)} of ${count(steps)} steps   loss ${loss.toFixed(4)}   ${count(Math.round(pace))} samples/s`,
            ],
          );
        },
      },
    );
    if (shown) region.clear();
    if (options.out !== undefined)
      writeFileSync(path(options.out), writeModel(model.graph, await readWeights(files.out)));
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
        ...(options.out === undefined ? [] : [`The trained model is in ${options.out}.`]),
      ],
    );
  } finally {
    if (shown) region.clear();
    await training.close();
    rmSync(folder, { recursive: true });
  }
}

function optimizerOf({ optimizer, lr }: TrainOptions): Optimizer {
  switch (optimizer) {
    case 'adam':
    case 'adamw':
      return { name: optimizer, lr: lr ?? 0.001 };
    case 'sgd':
      return { name: 'sgd', lr: lr ?? 0.1 };
    case 'momentum':
    case 'nesterov':
      return { name: 'sgd', lr: lr ?? 0.1, momentum: 0.9, nesterov: optimizer === 'nesterov' };
  }
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('A number is expected.');
  return value;
}

/** Each group with its worst tensor, and every tensor that is beyond its bound. */
function checkLines(theme: Theme, { groups, passed }: CheckResult): string[] {
  const rows = groups.flatMap(({ group, tensors, passed }) => {
    const share = ({ error, bound }: (typeof tensors)[number]) =>
      Number.isNaN(error) ? Infinity : error / bound;
    const sorted = tensors.toSorted((a, b) => share(b) - share(a));
    return sorted
      .filter((tensor, index) => index === 0 || !tensor.passed)
      .map(({ name, error, bound }) => [
        paint(theme, passed ? 'green' : 'red', group),
        name,
        error.toExponential(2),
        bound.toExponential(2),
      ]);
  });
  const count = groups.reduce((sum, { tensors }) => sum + tensors.length, 0);
  return [
    ...table(
      theme,
      [
        { title: 'group' },
        { title: 'worst tensor' },
        { title: 'error', align: 'right' },
        { title: 'allowed', align: 'right' },
      ],
      rows,
    ),
    passed ? `All ${count} tensors are within their tolerance.` : 'Beyond the tolerance.',
  ];
}
