import ort from 'onnxruntime-node';
import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import { parseMessage } from '#core/schema.js';
import { compileGradients, compileTraining, type InputType } from '../compile.js';
import { readGraph } from '../graph.js';
import { labelType, type LossName } from '../loss.js';
import { readModel, type Model } from '../model.js';
import { updateRule, type Optimizer } from '../optimizers.js';
import { readBytes } from '../run/files.js';
import { elementCount } from '../onnx/tensor.js';
import { compareGroup, type Comparison } from './compare.js';
import { matchParameters, type Match } from './match.js';
import { readNumbersFile, tensorOf, type Numbers } from './tensors.js';

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
  const [file, batches, references, text] = await Promise.all([
    readBytes(request.model),
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
  const whole = readModel(file);
  const matches = matchParameters(file, whole.weights, init);
  const lost = spec.trainable.filter((name) => !matches.has(name));
  if (lost.length > 0)
    throw new RoundtableError(
      'MODEL_UNSUPPORTED',
      `The export does not hold ${lost.join(', ')} as they were: the exporter folded them into something else (a BatchNorm into the convolution before it, most often). Export with training=torch.onnx.TrainingMode.PRESERVE, or optimize=False.`,
      { details: { parameters: lost } },
    );
  const trained = new Set(spec.trainable.map((name) => matches.get(name)?.weight ?? ''));
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
    const losses = references.get(`loss/${rule}`);
    if (losses)
      groups.push(compareGroup(`loss/${rule}`, rtol.loss, perStep(result.losses), perStepOf(losses), {}));
  }
  return { passed: groups.every(({ passed }) => passed), groups };
}

const rates = z.object({
  lr: z.number(),
  momentum: z.number().optional(),
  nesterov: z.boolean().optional(),
  weight_decay: z.number().optional(),
  betas: z.tuple([z.number(), z.number()]).optional(),
  eps: z.number().optional(),
});

const caseFile = z.object({
  loss: z.enum(['softmax_cross_entropy_mean', 'mse_mean']),
  trainable: z.array(z.string()).min(1),
  optimizers: z.record(z.string(), rates).default({}),
  steps: z.number().int().min(1).default(3),
  tolerance: z
    .object({
      float32_rtol: z
        .object({
          output: z.number().default(1e-5),
          loss: z.number().default(1e-5),
          grad: z.number().default(1e-5),
          sgd: z.number().default(2e-5),
        })
        .catchall(z.number())
        .prefault({}),
    })
    .prefault({}),
});
type Case = z.output<typeof caseFile>;

const lossNames: Record<Case['loss'], LossName> = {
  softmax_cross_entropy_mean: 'softmax_cross_entropy',
  mse_mean: 'mse',
};

function optimizerOf(rule: string, given: z.output<typeof rates>): Optimizer {
  const decay = given.weight_decay === undefined ? {} : { weightDecay: given.weight_decay };
  if (rule.startsWith('adam'))
    return {
      name: rule === 'adam' ? 'adam' : 'adamw',
      lr: given.lr,
      ...(given.betas ? { betas: given.betas } : {}),
      ...(given.eps === undefined ? {} : { eps: given.eps }),
      ...decay,
    };
  return {
    name: 'sgd',
    lr: given.lr,
    ...(given.momentum === undefined ? {} : { momentum: given.momentum }),
    ...(given.nesterov === undefined ? {} : { nesterov: given.nesterov }),
    ...decay,
  };
}

/** Runs the compiled graphs on the batches of the case. */
class Harness {
  readonly #model: Model;
  readonly #spec: Case;
  readonly #batches: ReadonlyMap<string, Numbers>;
  readonly #file: string;
  readonly #loss: LossName;
  readonly #input: InputType;

  constructor(model: Model, spec: Case, batches: ReadonlyMap<string, Numbers>, file: string) {
    this.#model = model;
    this.#spec = spec;
    this.#batches = batches;
    this.#file = file;
    this.#loss = lossNames[spec.loss];
    this.#input = readGraph(model.graph).input.integers ?? 'float32';
  }

  /** Output and gradients at the initial weights. */
  async gradients(k: number): Promise<{ output: Float64Array; gradients: Map<string, Float64Array> }> {
    const { x, y, samples } = this.#batch(k);
    const plan = compileGradients(this.#model.graph, { ...this.#options(samples), batch: samples });
    const session = await open(plan.model);
    const results = await session.run({
      ...Object.fromEntries(
        this.#model.weights.map(({ name, data, dims }) => [name, new ort.Tensor('float32', data, dims)]),
      ),
      [plan.names.data]: x,
      [plan.names.labels]: y,
    });
    await session.release();
    const gradients = this.#model.weights.map(({ name, data }): [string, Float64Array] => {
      const result = plan.gradients.get(name);
      return [name, result === undefined ? new Float64Array(data.length) : numbers(results[result])];
    });
    return { output: numbers(results[plan.names.output]), gradients: new Map(gradients) };
  }

  async train(optimizer: Optimizer): Promise<{ weights: Map<string, Float64Array>; losses: number[] }> {
    const state = new Map<string, ort.Tensor>(
      this.#model.weights.map(({ name, data, dims }) => [name, new ort.Tensor('float32', data, dims)]),
    );
    const losses: number[] = [];
    const rule = updateRule(optimizer);
    for (let k = 0; k < this.#spec.steps; k++) {
      const { x, y, samples } = this.#batch(k);
      const plan = compileTraining(this.#model.graph, {
        ...this.#options(samples),
        optimizer,
        batch: samples,
      });
      const session = await open(plan.model);
      const passed = [...plan.weights, ...plan.slots];
      const rows = Int32Array.from({ length: samples }, (_, i) => i);
      const numbersOfStep = Float32Array.from(rule.rates(k + 1, 1));
      const results = await session.run({
        ...Object.fromEntries(
          passed.map(({ name, before, shape }) => [
            before,
            state.get(name) ?? new ort.Tensor('float32', new Float32Array(elementCount(shape)), shape),
          ]),
        ),
        ...(plan.names.rates
          ? { [plan.names.rates]: new ort.Tensor('float32', numbersOfStep, [1, numbersOfStep.length]) }
          : {}),
        [plan.names.data]: x,
        [plan.names.labels]: y,
        [plan.names.order]: new ort.Tensor('int32', rows, [1, samples]),
      });
      await session.release();
      for (const { name, after } of passed) state.set(name, results[after] as ort.Tensor);
      losses.push(numbers(results[plan.names.losses])[0] ?? NaN);
    }
    return {
      weights: new Map(this.#model.weights.map(({ name }) => [name, numbers(state.get(name))])),
      losses,
    };
  }

  #options(samples: number) {
    const labels = this.#batches.get('y/0')?.values ?? new Float64Array();
    const ignored = this.#loss === 'softmax_cross_entropy' && labels.some((label) => label < 0);
    return {
      loss: this.#loss,
      input: this.#input,
      batch: samples,
      ...(ignored ? { ignoredLabel: -100 } : {}),
    };
  }

  #batch(k: number): { x: ort.Tensor; y: ort.Tensor; samples: number } {
    const x = tensorOf(this.#batches, `x/${k}`, this.#file);
    const y = tensorOf(this.#batches, `y/${k}`, this.#file);
    const samples = x.shape[0] ?? 0;
    const data =
      this.#input === 'int64'
        ? new ort.Tensor('int64', BigInt64Array.from(x.values, BigInt), x.shape)
        : this.#input === 'int32'
          ? new ort.Tensor('int32', Int32Array.from(x.values), x.shape)
          : new ort.Tensor('float32', Float32Array.from(x.values), x.shape);
    const outputs = this.#model.output.dims.slice(1).map(Number);
    const dims = [samples, ...(this.#loss === 'mse' ? outputs : outputs.slice(0, -1))];
    const labels =
      labelType(this.#loss) === 'int32'
        ? new ort.Tensor('int32', Int32Array.from(y.values), dims)
        : new ort.Tensor('float32', Float32Array.from(y.values), dims);
    return { x: data, y: labels, samples };
  }
}

/** Results under the names and in the order of PyTorch's parameters. */
function unpack(
  matches: readonly Match[],
  results: ReadonlyMap<string, Float64Array>,
  absent: (parameter: string, index: number) => number,
): Map<string, Float64Array> {
  return new Map(
    matches.map(({ parameter, weight, places }) => {
      const values = results.get(weight);
      return [
        parameter,
        Float64Array.from(places, (place, index) =>
          place < 0 ? absent(parameter, index) : (values?.[place] ?? NaN),
        ),
      ];
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

function open(model: Uint8Array): Promise<ort.InferenceSession> {
  return ort.InferenceSession.create(model, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
}

function numbers(tensor: ort.Tensor | undefined): Float64Array {
  return Float64Array.from(tensor?.data as Float32Array);
}

function parseJson(bytes: Uint8Array, path: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new RoundtableError('FORMAT_INVALID', `The file ${path} is not JSON.`, { cause });
  }
}
