import { resolve } from 'node:path';
import { isRoundtableError } from '#core/errors.js';
import type { CheckResult } from '#trainer/check/check.js';
import { TrainingProcess } from '#trainer/run/trainingProcess.js';
import { addVerb, CheckFailed, UsageError } from '../command.js';
import type { Verb } from '../run.js';
import { paint, type Theme } from '../terminal/theme.js';
import { table } from '../terminal/text.js';

export const trainVerbs: Verb = (program, does) => {
  const train = program.command('train').description('the trainer alone: no stack, no rounds');

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
