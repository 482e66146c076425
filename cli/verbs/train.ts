import { resolve } from 'node:path';
import { Option } from 'commander';
import { isRoundtableError } from '#core/errors.js';
import type { CheckResult } from '#trainer/check/check.js';
import { lossNames } from '#trainer/loss.js';
import { TrainingProcess } from '#trainer/run/trainingProcess.js';
import { addVerb, CheckFailed, UsageError } from '../command.js';
import type { Verb } from '../run.js';
import { paint, type Theme } from '../terminal/theme.js';
import { table } from '../terminal/text.js';
import { list, number, rates } from '../train/options.js';
import { trainModel, type TrainOptions } from '../train/training.js';

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
    .addOption(
      new Option('--schedule <name>', 'of the learning rate')
        .choices(['constant', 'cosine'])
        .default('constant'),
    )
    .option('--warmup <steps>', 'the learning rate rises over so many steps', number, 0)
    .option('--weight-decay <rate>', 'L2, of AdamW decoupled', number)
    .option('--undecayed <patterns>', 'weights that it leaves alone, such as *.bias,*norm*', list)
    .option('--clip <norm>', 'largest norm of all gradients together', number)
    .option('--label-smoothing <share>', 'of the target, for all classes alike', number)
    .option('--ignored-label <class>', 'labels of this value count for nothing', number)
    .addOption(
      new Option('--batch-norm <kind>', 'statistics of norms: as they are, or those of each batch')
        .choices(['frozen', 'local'])
        .default('frozen'),
    )
    .option('--accumulate <parts>', 'compute each step in so many parts, for less memory', number, 1)
    .option('--dropout <pattern=share>', 'zero a share of what nodes give; repeatable', rates)
    .option('--train <patterns>', 'only these weights, such as head.*', list)
    .option('--lora <patterns>', 'adapters beside these weights instead of the weights', list)
    .option('--rank <size>', 'of the adapters', number, 8)
    .option('--alpha <factor>', 'of the adapters (default: their rank)', number)
    .option('--freeze-a', 'train only the second factor of the adapters')
    .addOption(
      new Option('--determinism <kind>', 'bits repeat with 1 or 2 threads, fast uses all')
        .choices(['bits', 'fast'])
        .default('bits'),
    )
    .option('--threads <count>', '1 or 2', number, 1)
    .option('--seed <text>', 'decides the order of the samples and the masks of dropout', '0')
    .option('--memory <megabytes>', 'refuse to take more', number)
    .option('--checkpoint <file>', 'kept every few seconds; the same command goes on from it')
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
