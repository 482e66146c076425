import { RoundtableError } from '#core/errors.js';
import { parseMessage } from '#core/schema.js';
import { readModel } from '../model.js';
import { readModelFile } from '../run/modelFile.js';
import { readBytes } from '../run/files.js';
import { caseFile, optimizerOf } from './caseFile.js';
import { compareGroup, type Comparison } from './compare.js';
import { Harness } from './harness.js';
import { matchParameters, type Match } from './match.js';
import { readNumbersFile, type Numbers } from './tensors.js';
import { unfoldNorms } from './unfold.js';

/** All by path. docs/trainer.md describes the files. */
export interface CheckRequest {
  readonly model: string;
  readonly batch: string;
  readonly reference: string;
  readonly case: string;
}

export interface CheckResult {
  readonly passed: boolean;
  readonly groups: readonly Comparison[];
}

/**
 * Trains a model on given batches and compares every tensor with a reference.
 * @throws what readModel throws, and MODEL_UNSUPPORTED where a parameter that should be trained is not in the export;
 * NOT_FOUND, FORMAT_INVALID for the files.
 */
export async function check(request: CheckRequest): Promise<CheckResult> {
  const [batches, references, text] = await Promise.all([
    readBytes(request.batch).then(readNumbersFile),
    readBytes(request.reference).then(readNumbersFile),
    readBytes(request.case),
  ]);
  const spec = parseMessage(caseFile, parseJson(text, request.case), request.case);
  const group = (prefix: string) =>
    new Map(
      [...references].flatMap(([name, value]) =>
        name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [],
      ),
    );
  const init = group('init/');
  const file = unfoldNorms(readModelFile(request.model), init);
  const whole = readModel(file);
  const matches = matchParameters(file, whole.weights, init);
  const lost = spec.trainable.filter((name) => !matches.has(name));
  if (lost.length > 0)
    throw new RoundtableError(
      'MODEL_UNSUPPORTED',
      `The export does not hold ${lost.join(', ')} as they were: the exporter folded them into something else (a BatchNorm into the convolution before it, most often). Export with training=torch.onnx.TrainingMode.PRESERVE, or optimize=False.`,
      { details: { parameters: lost } },
    );
  const trained = new Set(
    spec.trainable.flatMap((name) => (matches.get(name)?.parts ?? []).map(({ weight }) => weight)),
  );
  const model = readModel(file, { trainable: (name) => trained.has(name) });
  const harness = new Harness(model, spec, batches, request.batch);
  const matched = spec.trainable.flatMap((name) => matches.get(name) ?? []);
  const rtol = spec.tolerance.float32_rtol;

  const groups: Comparison[] = [];
  const first = await harness.gradients(0);
  const outputs = new Map<string, Float64Array>();
  for (let k = 0; k < spec.steps; k++)
    if (references.has(`output/${k}`))
      outputs.set(String(k), (k === 0 ? first : await harness.gradients(k)).output);
  const wantedOutputs = group('output/');
  groups.push(
    compareGroup('output', rtol.output, outputs, new Map([...wantedOutputs].filter(([k]) => outputs.has(k)))),
  );
  groups.push(
    compareGroup(
      'grad',
      rtol.grad,
      unpack(matched, first.gradients, () => 0),
      group('grad/'),
    ),
  );
  for (const [rule, options] of Object.entries(spec.optimizers)) {
    if (!options) continue;
    const optimizer = optimizerOf(rule, options);
    const result = await harness.train(optimizer);
    const decay = 1 - optimizer.lr * (optimizer.name === 'adamw' ? (optimizer.weightDecay ?? 0) : 0);
    // Rows that the export left out have no gradient; only AdamW's decay moves them.
    const absent = (name: string, index: number) =>
      (init.get(name)?.values[index] ?? 0) * decay ** spec.steps;
    const weights = unpack(matched, result.weights, absent);
    const tolerance = rtol[rule] ?? rtol.sgd;
    groups.push(
      compareGroup(rule, tolerance, weights, group(`${rule}/`), { init, masks: group(`${rule}_mask/`) }),
    );
    const statistics = group(`statistics/${rule}/`);
    if (statistics.size > 0)
      groups.push(compareGroup(`statistics/${rule}`, rtol.statistics, result.statistics, statistics));
    const losses = references.get(`loss/${rule}`);
    if (losses)
      groups.push(compareGroup(`loss/${rule}`, rtol.loss, perStep(result.losses), perStepOf(losses), {}));
  }
  return { passed: groups.every(({ passed }) => passed), groups };
}

/** Results under the names and in the order of PyTorch's parameters. */
function unpack(
  matches: readonly Match[],
  results: ReadonlyMap<string, Float64Array>,
  absent: (parameter: string, index: number) => number,
): Map<string, Float64Array> {
  return new Map(
    matches.map(({ parameter, parts }) => {
      const [first] = parts;
      const found = Float64Array.from(first?.places ?? [], (_, index) => {
        const part = parts.find(({ places }) => (places[index] ?? -1) >= 0);
        if (!part) return absent(parameter, index);
        return results.get(part.weight)?.[part.places[index] ?? 0] ?? NaN;
      });
      return [parameter, found];
    }),
  );
}

function perStep(losses: readonly number[]): Map<string, Float64Array> {
  return new Map(losses.map((loss, step) => [String(step), Float64Array.of(loss)]));
}

function perStepOf({ values }: Numbers): Map<string, Numbers> {
  return new Map(
    [...values].map((loss, step) => [String(step), { shape: [], values: Float64Array.of(loss) }]),
  );
}

function parseJson(bytes: Uint8Array, path: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new RoundtableError('FORMAT_INVALID', `The file ${path} is not JSON.`, { cause });
  }
}
