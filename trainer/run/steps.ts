import { setTimeout as sleep } from 'node:timers/promises';
import ort from 'onnxruntime-node';
import { RoundtableError } from '#core/errors.js';
import type { TrainingPlan } from '../compile/plan.js';
import type { WeightTensor } from '../model.js';
import { elementCount } from '../onnx/tensor.js';
import { scheduleFactor, updateRule } from '../optimizers.js';
import type { Progress } from './checkpoint.js';
import type { Provider } from './device.js';
import type { Meter } from './energy.js';
import type { Column, Dataset } from './files.js';
import type { TrainProgress, TrainRequest } from './messages.js';
import { maskSeeds } from './permutation.js';
import { inMemory } from './resident.js';
import type { Loaded } from './sessions.js';

/** A run blocks the process, so it is kept to about this long; between two of them the process listens. */
const chunkSeconds = 0.5;

/** A loss that has grown by this factor will not come back. */
const divergence = 1e4;

export interface StepsOptions {
  readonly data: Dataset;
  readonly columns: readonly Column[];
  readonly weights: readonly WeightTensor[];
  readonly corrections: ReadonlyMap<string, WeightTensor>;
  /** Running statistics of local norms before the first step. */
  readonly statistics: readonly WeightTensor[];
  readonly request: TrainRequest;
  readonly perEpoch: number;
  readonly steps: number;
  /** What an interrupted training goes on from. */
  readonly kept: Progress | undefined;
  readonly meter: Meter | undefined;
  readonly provider: Provider;
  readonly onProgress: (progress: TrainProgress) => void;
}

/** The state that passes from one run of a session to the next. */
export class Steps {
  readonly #options: StepsOptions;
  readonly #data: readonly ort.Tensor[];
  readonly #labels: ort.Tensor;
  readonly #start: ReadonlyMap<string, ort.Tensor>;
  readonly #corrections: ReadonlyMap<string, ort.Tensor>;
  #weights: Map<string, ort.Tensor>;
  /** What the optimiser keeps, and running statistics. */
  #slots: Map<string, ort.Tensor>;
  readonly #began = performance.now();
  #step: number;
  #epochLoss: number;
  #firstLoss: number;
  /** Samples since this process began. */
  #seen = 0;
  /** Samples per second of the last run. The first run is a single step: nobody knows yet how long one takes. */
  #pace = 0;

  constructor(options: StepsOptions) {
    const { data, columns, weights, corrections, statistics, kept } = options;
    this.#options = options;
    this.#data = columns.map(({ values, sample }) => dataTensor(values, [data.samples, ...sample]));
    this.#labels = dataTensor(data.y, [data.samples, ...data.labels]);
    this.#start = tensors(weights);
    this.#corrections = tensors(corrections.values());
    const before = new Map(
      [...(kept?.tensors ?? [])].map(([name, { dims, data }]) => [
        name,
        new ort.Tensor('float32', data, dims),
      ]),
    );
    this.#weights = new Map([...this.#start].map(([name, tensor]) => [name, before.get(name) ?? tensor]));
    const slots = [...before].filter(([name]) => !this.#start.has(name));
    this.#slots = new Map([...tensors(statistics), ...slots]);
    this.#step = kept?.step ?? 0;
    // A checkpoint at the end of an epoch is gone on from at the start of the next.
    this.#epochLoss = this.#step % options.perEpoch === 0 ? 0 : (kept?.epochLoss ?? 0);
    this.#firstLoss = kept?.firstLoss ?? NaN;
  }

  /** Steps done. */
  get step(): number {
    return this.#step;
  }

  /** Sum of the losses of this epoch's samples, each before the step that used it. */
  get epochLoss(): number {
    return this.#epochLoss;
  }

  startEpoch(): void {
    this.#epochLoss = 0;
  }

  /** Trains on the samples of `order`, `batch` a step; `afterRun` is called between the runs of the session. */
  async take(
    { plan, session }: Loaded<TrainingPlan>,
    batch: number,
    order: Int32Array,
    afterRun: () => Promise<void>,
  ): Promise<void> {
    const { request, steps, perEpoch, onProgress, data, meter } = this.#options;
    const throttle = request.throttle ?? 1;
    const count = order.length / batch;
    for (let done = 0; done < count;) {
      const fitting = Math.floor((this.#pace * chunkSeconds) / throttle / batch);
      const chunk = plan.single ? 1 : Math.min(Math.max(1, fitting), count - done);
      const started = performance.now();
      const results = await session.run(
        this.#feeds(plan, order.subarray(done * batch, (done + chunk) * batch), batch),
      );
      const seconds = (performance.now() - started) / 1000;
      const losses = floats(results[plan.names.losses]);
      this.#checkLosses(losses);
      for (const { name, after } of plan.weights) this.#put(this.#weights, name, results[after]);
      for (const { name, after } of [...plan.slots, ...plan.statistics])
        this.#put(this.#slots, name, results[after]);
      for (const loss of losses) this.#epochLoss += loss * batch;
      done += chunk;
      this.#step += chunk;
      this.#seen += chunk * batch;
      this.#pace = (chunk * batch) / seconds;
      const [epoch, place] = [Math.floor(this.#step / perEpoch), this.#step % perEpoch];
      onProgress({
        step: this.#step,
        steps,
        samples: epoch * data.samples + place * request.batch,
        loss: losses.reduce((all, loss) => all + loss, 0) / chunk,
        samplesPerSecond: this.#seen / ((performance.now() - this.#began) / 1000),
        ...(meter ? { joules: meter.read().joules } : {}),
      });
      if (throttle > 1) await sleep(1000 * seconds * (throttle - 1));
      await afterRun();
    }
  }

  #put(kept: Map<string, ort.Tensor>, name: string, result: ort.OnnxValue | undefined): void {
    const before = kept.get(name);
    kept.set(name, result as ort.Tensor);
    if (before?.location === 'gpu-buffer') before.dispose();
  }

  /** Brings what lies on a device into memory: before anything but the next step looks at it. */
  async settle(): Promise<void> {
    const { provider } = this.#options;
    this.#weights = await inMemory(provider, this.#weights);
    this.#slots = await inMemory(provider, this.#slots);
  }

  /** What a checkpoint keeps. */
  progress(): Progress {
    const tensors = [...this.#weights, ...this.#slots].map(
      ([name, tensor]) => [name, { dims: tensor.dims, data: floats(tensor) }] as const,
    );
    const [step, epochLoss, firstLoss] = [this.#step, this.#epochLoss, this.#firstLoss];
    return { step, epochLoss, firstLoss, tensors: new Map(tensors) };
  }

  /** The trained weights. */
  finish(): WeightTensor[] {
    return [...this.#weights].map(([name, tensor]) => {
      const data = floats(tensor);
      if (!data.every(Number.isFinite)) throw this.#stopped(this.#step, `The weight ${name}`);
      return { name, dims: tensor.dims, data };
    });
  }

  /** The running statistics of local norms. */
  statistics(): WeightTensor[] {
    return this.#options.statistics.map(({ name, dims }) => ({
      name,
      dims,
      data: floats(this.#slots.get(name)),
    }));
  }

  #feeds(plan: TrainingPlan, order: Int32Array, batch: number): Record<string, ort.Tensor> {
    const { names } = plan;
    const { data, labels, rows } = this.#samples(plan, order);
    const weights = plan.weights.flatMap(({ name, before, anchor, correction }) => [
      [before, this.#weights.get(name) as ort.Tensor] as const,
      ...(anchor === undefined ? [] : [[anchor, this.#start.get(name) as ort.Tensor] as const]),
      ...(correction === undefined ? [] : [[correction, this.#corrections.get(name) as ort.Tensor] as const]),
    ]);
    const steps = order.length / batch;
    return {
      ...Object.fromEntries(weights),
      ...Object.fromEntries(
        [...plan.slots, ...plan.statistics].map(({ name, before, shape }) => [
          before,
          this.#slots.get(name) ?? zeros(shape),
        ]),
      ),
      ...Object.fromEntries(names.data.map((name, index) => [name, data[index] as ort.Tensor])),
      ...(names.rates ? { [names.rates]: this.#rates(steps) } : {}),
      ...(names.seeds
        ? {
            [names.seeds]: new ort.Tensor('int64', maskSeeds(this.#options.request.seed, this.#step, steps), [
              steps,
            ]),
          }
        : {}),
      [names.labels]: labels,
      [names.order]: new ort.Tensor('int32', rows, [steps, batch]),
    };
  }

  /** The whole data set and the order; or, of a single step, its samples alone: a device is sent them in each. */
  #samples(plan: TrainingPlan, order: Int32Array) {
    if (!plan.single) return { data: this.#data, labels: this.#labels, rows: order };
    const { data, columns } = this.#options;
    const picked = columns.map(({ values, sample }) => picks(values, sample, data.samples, order));
    const labels = picks(data.y, data.labels, data.samples, order);
    return { data: picked, labels, rows: order.map((_, row) => row) };
  }

  /** Learning rates and the like of the next steps. */
  #rates(steps: number): ort.Tensor {
    const { request, steps: total } = this.#options;
    const rule = updateRule(request.optimizer);
    const rows = Array.from({ length: steps }, (_, i) => {
      const step = this.#step + i + 1;
      return rule.rates(step, scheduleFactor(request.schedule ?? { name: 'constant' }, step, total));
    });
    return new ort.Tensor('float32', Float32Array.from(rows.flat()), [steps, rows[0]?.length ?? 0]);
  }

  #checkLosses(losses: Float32Array): void {
    const bad = losses.findIndex((loss) => !Number.isFinite(loss));
    if (bad >= 0) throw this.#stopped(this.#step + bad + 1, 'The loss');
    if (Number.isNaN(this.#firstLoss)) this.#firstLoss = losses[0] ?? 0;
    const most = divergence * Math.max(1, Math.abs(this.#firstLoss));
    const grown = losses.findIndex((loss) => Math.abs(loss) > most);
    if (grown < 0) return;
    const { text, details } = this.#place(this.#step + grown + 1);
    throw new RoundtableError(
      'TRAINING_DIVERGED',
      `The loss grew from ${this.#firstLoss.toPrecision(3)} to ${losses[grown]?.toPrecision(3)} in ${text}. Try a smaller learning rate, or clip the gradients.`,
      { details },
    );
  }

  #stopped(step: number, what: string): RoundtableError {
    const { text, details } = this.#place(step);
    return new RoundtableError(
      'TRAINING_NOT_FINITE',
      `${what} became NaN or infinite in ${text}. Try a smaller learning rate, or look for such values in the data.`,
      { details },
    );
  }

  #place(step: number) {
    const { perEpoch, steps } = this.#options;
    const [epoch, batch] = [Math.ceil(step / perEpoch), ((step - 1) % perEpoch) + 1];
    const text = `step ${step} of ${steps} (epoch ${epoch}, batch ${batch} of ${perEpoch})`;
    return { text, details: { step, epoch, batch } };
  }
}

function tensors(weights: Iterable<WeightTensor>): Map<string, ort.Tensor> {
  return new Map([...weights].map(({ name, data, dims }) => [name, new ort.Tensor('float32', data, dims)]));
}

export function dataTensor(values: Column['values'], dims: readonly number[]): ort.Tensor {
  if (values instanceof Uint8Array) return new ort.Tensor('uint8', values, dims);
  if (values instanceof Float32Array) return new ort.Tensor('float32', values, dims);
  if (values instanceof Int32Array) return new ort.Tensor('int32', values, dims);
  return new ort.Tensor('int64', values, dims);
}

/** Rows of a tensor of [samples, ...dims]. */
function picks(
  values: Column['values'],
  dims: readonly number[],
  samples: number,
  order: Int32Array,
): ort.Tensor {
  const size = values.length / samples;
  const picked = values.slice(0, order.length * size);
  order.forEach((from, to) => {
    const row = values.subarray(from * size, (from + 1) * size);
    picked.set(row as never, to * size);
  });
  return dataTensor(picked, [order.length, ...dims]);
}

function zeros(shape: readonly number[]): ort.Tensor {
  return new ort.Tensor('float32', new Float32Array(elementCount(shape)), shape);
}

function floats(tensor: ort.Tensor | undefined): Float32Array {
  if (!(tensor?.data instanceof Float32Array))
    throw new RoundtableError('INTERNAL', 'A session did not return what its plan says.');
  return tensor.data;
}
