import { setTimeout as sleep } from 'node:timers/promises';
import ort from 'onnxruntime-node';
import { RoundtableError } from '#core/errors.js';
import type { InputType, TrainingOptions, TrainingPlan } from '../compile.js';
import { elementCount } from '../onnx/tensor.js';
import { scheduleFactor, updateRule, type Schedule, type UpdateRule } from '../optimizers.js';
import { readGraph } from '../graph.js';
import { checkWeights, type WeightTensor } from '../model.js';
import { checkModelData } from '../modelData.js';
import { readBytes, readDataset, readWeights, writeWeights, type Dataset } from './files.js';
import type { TrainProgress, TrainRequest, TrainResult } from './messages.js';
import { permutation } from './permutation.js';
import type { Loaded, Sessions } from './sessions.js';

/** A run blocks the process, so it is kept to about this long; between two of them the process listens. */
const chunkSeconds = 0.5;

/**
 * Trains and writes the weights. The result depends on the request and on the class of machine only: how the steps
 * are cut into runs does not change a bit.
 * @throws the errors of readModel, NOT_FOUND, FORMAT_INVALID, INVALID_INPUT, TRAINING_NOT_FINITE, DISK_FULL
 */
export async function train(
  sessions: Sessions,
  request: TrainRequest,
  onProgress: (progress: TrainProgress) => void,
): Promise<TrainResult> {
  const started = performance.now();
  checkRequest(request);
  const [graph, weights, data] = await Promise.all([
    readBytes(request.graph),
    readWeights(request.weights),
    readDataset(request.data, request.loss),
  ]);
  const model = readGraph(graph);
  checkWeights(model, weights);
  checkModelData(model, { input: data.sample, classes: data.classes, labels: data.labels }, request.loss);

  const { batch, epochs } = request;
  const load = (size: number) => sessions.training(graph, trainingOptions(request, size, data.type));
  const rest = data.samples % batch;
  const [whole, last] = [
    data.samples >= batch ? await load(batch) : undefined,
    rest > 0 ? await load(rest) : undefined,
  ];

  const perEpoch = Math.ceil(data.samples / batch);
  const run = new Run(data, weights, { perEpoch, total: epochs * perEpoch }, request, onProgress);
  let epochLoss = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = permutation(request.seed, epoch, data.samples);
    epochLoss = whole ? await run.steps(whole, batch, order.subarray(0, order.length - rest)) : 0;
    if (last) epochLoss += await run.steps(last, rest, order.subarray(order.length - rest));
  }
  await writeWeights(request.out, run.finish());
  return {
    samples: data.samples,
    steps: epochs * perEpoch,
    loss: epochLoss / data.samples,
    seconds: (performance.now() - started) / 1000,
    runtime: sessions.runtime,
  };
}

function trainingOptions(request: TrainRequest, batch: number, input: InputType): TrainingOptions {
  const { loss, optimizer, prox, labelSmoothing, clipNorm, schedule, undecayed } = request;
  return {
    loss,
    optimizer,
    batch,
    input,
    ...(prox ? { prox } : {}),
    ...(labelSmoothing ? { labelSmoothing } : {}),
    ...(clipNorm === undefined ? {} : { clipNorm }),
    ...(schedule ? { scheduled: true } : {}),
    ...(undecayed ? { undecayed } : {}),
  };
}

interface StepCount {
  readonly perEpoch: number;
  readonly total: number;
}

/** The state that passes from one run of a session to the next. */
class Run {
  readonly #x: ort.Tensor;
  readonly #y: ort.Tensor;
  readonly #start: ReadonlyMap<string, ort.Tensor>;
  readonly #weights: Map<string, ort.Tensor>;
  readonly #slots = new Map<string, ort.Tensor>();
  readonly #rule: UpdateRule;
  readonly #schedule: Schedule;
  readonly #count: StepCount;
  readonly #throttle: number;
  readonly #onProgress: (progress: TrainProgress) => void;
  #step = 0;
  #samples = 0;
  /** Samples per second of the last run. The first run is a single step: nobody knows yet how long one takes. */
  #pace = 0;

  constructor(
    data: Dataset,
    weights: readonly WeightTensor[],
    count: StepCount,
    request: TrainRequest,
    onProgress: (progress: TrainProgress) => void,
  ) {
    this.#x = dataTensor(data.x, [data.samples, ...data.sample]);
    this.#y = dataTensor(data.y, [data.samples, ...data.labels]);
    this.#rule = updateRule(request.optimizer);
    this.#schedule = request.schedule ?? { name: 'constant' };
    this.#start = new Map(
      weights.map((weight) => [weight.name, new ort.Tensor('float32', weight.data, weight.dims)]),
    );
    this.#weights = new Map(this.#start);
    this.#count = count;
    this.#throttle = request.throttle ?? 1;
    this.#onProgress = onProgress;
  }

  /** Trains on the samples of `order`, `batch` a step. Returns the sum of their losses. */
  async steps({ plan, session }: Loaded<TrainingPlan>, batch: number, order: Int32Array): Promise<number> {
    const count = order.length / batch;
    let total = 0;
    for (let done = 0; done < count;) {
      const fitting = Math.floor((this.#pace * chunkSeconds) / this.#throttle / batch);
      const steps = Math.min(Math.max(1, fitting), count - done);
      const started = performance.now();
      const results = await session.run(
        this.#feeds(plan, order.subarray(done * batch, (done + steps) * batch), batch),
      );
      const seconds = (performance.now() - started) / 1000;
      const losses = floats(results[plan.names.losses]);
      this.#refuseNotFinite(losses);
      for (const { name, after } of plan.weights) this.#weights.set(name, results[after] as ort.Tensor);
      for (const { name, after } of plan.slots) this.#slots.set(name, results[after] as ort.Tensor);

      const sum = losses.reduce((all, loss) => all + loss, 0);
      total += sum * batch;
      done += steps;
      this.#step += steps;
      this.#samples += steps * batch;
      this.#pace = (steps * batch) / seconds;
      this.#onProgress({
        step: this.#step,
        steps: this.#count.total,
        samples: this.#samples,
        loss: sum / steps,
      });
      if (this.#throttle > 1) await sleep(1000 * seconds * (this.#throttle - 1));
    }
    return total;
  }

  /** The trained weights. */
  finish(): WeightTensor[] {
    return [...this.#weights].map(([name, tensor]) => {
      const data = floats(tensor);
      if (!data.every(Number.isFinite)) throw this.#notFinite(this.#step, `The weight ${name}`);
      return { name, dims: tensor.dims, data };
    });
  }

  #feeds(plan: TrainingPlan, order: Int32Array, batch: number): Record<string, ort.Tensor> {
    const { names } = plan;
    const weights = plan.weights.flatMap(({ name, before, anchor }) => [
      [before, this.#weights.get(name) as ort.Tensor] as const,
      ...(anchor === undefined ? [] : [[anchor, this.#start.get(name) as ort.Tensor] as const]),
    ]);
    const steps = order.length / batch;
    return {
      ...Object.fromEntries(weights),
      ...Object.fromEntries(
        plan.slots.map(({ name, before, shape }) => [before, this.#slots.get(name) ?? zeros(shape)]),
      ),
      ...(names.rates ? { [names.rates]: this.#rates(steps) } : {}),
      [names.data]: this.#x,
      [names.labels]: this.#y,
      [names.order]: new ort.Tensor('int32', order, [steps, batch]),
    };
  }

  /** Learning rates and the like of the next steps. */
  #rates(steps: number): ort.Tensor {
    const rows = Array.from({ length: steps }, (_, i) => {
      const step = this.#step + i + 1;
      return this.#rule.rates(step, scheduleFactor(this.#schedule, step, this.#count.total));
    });
    return new ort.Tensor('float32', Float32Array.from(rows.flat()), [steps, rows[0]?.length ?? 0]);
  }

  #refuseNotFinite(losses: Float32Array): void {
    const bad = losses.findIndex((loss) => !Number.isFinite(loss));
    if (bad >= 0) throw this.#notFinite(this.#step + bad + 1, 'The loss');
  }

  #notFinite(step: number, what: string): RoundtableError {
    const { perEpoch, total } = this.#count;
    const [epoch, batch] = [Math.ceil(step / perEpoch), ((step - 1) % perEpoch) + 1];
    return new RoundtableError(
      'TRAINING_NOT_FINITE',
      `${what} became NaN or infinite in step ${step} of ${total} (epoch ${epoch}, batch ${batch} of ${perEpoch}). Try a smaller learning rate, or look for such values in the data.`,
      { details: { step, epoch, batch } },
    );
  }
}

export function dataTensor(values: Dataset['x'], dims: readonly number[]): ort.Tensor {
  if (values instanceof Uint8Array) return new ort.Tensor('uint8', values, dims);
  if (values instanceof Float32Array) return new ort.Tensor('float32', values, dims);
  if (values instanceof Int32Array) return new ort.Tensor('int32', values, dims);
  return new ort.Tensor('int64', values, dims);
}

function zeros(shape: readonly number[]): ort.Tensor {
  return new ort.Tensor('float32', new Float32Array(elementCount(shape)), shape);
}

function floats(tensor: ort.Tensor | undefined): Float32Array {
  if (!(tensor?.data instanceof Float32Array))
    throw new RoundtableError('INTERNAL', 'A session did not return what its plan says.');
  return tensor.data;
}

function checkRequest({ epochs, batch, optimizer, throttle = 1, prox = 0, seed }: TrainRequest): void {
  const mistakes = [
    Number.isSafeInteger(epochs) && epochs >= 1
      ? []
      : [`epochs is ${epochs}; a whole number from 1 is expected`],
    Number.isSafeInteger(batch) && batch >= 1 ? [] : [`batch is ${batch}; a whole number from 1 is expected`],
    Number.isFinite(optimizer.lr) && optimizer.lr > 0
      ? []
      : [`lr is ${optimizer.lr}; a number above 0 is expected`],
    Number.isFinite(prox) && prox >= 0 ? [] : [`prox is ${prox}; a number from 0 is expected`],
    Number.isFinite(throttle) && throttle >= 1
      ? []
      : [`throttle is ${throttle}; a number from 1 is expected`],
    seed.length === 32 ? [] : [`seed has ${seed.length} bytes; 32 are expected`],
  ].flat();
  if (mistakes.length > 0)
    throw new RoundtableError('INVALID_INPUT', `The training cannot start: ${mistakes.join('; ')}.`);
}
