import ort from 'onnxruntime-node';
import { statisticsOf } from '../batchNorm.js';
import { compileGradients } from '../compile/gradients.js';
import { compileTraining } from '../compile/training.js';
import type { InputType } from '../compile/plan.js';
import { readGraph, type Graph } from '../graph.js';
import { labelType, type LossName } from '../loss.js';
import type { Model } from '../model.js';
import { classAxis, labelShape } from '../modelData.js';
import { blockSize } from '../run/blockSize.js';
import { updateRule, type Optimizer } from '../optimizers.js';
import { elementCount } from '../onnx/tensor.js';
import { lossNames, type Case } from './caseFile.js';
import { tensorOf, type Numbers } from './tensors.js';

export interface Trained {
  readonly weights: Map<string, Float64Array>;
  readonly statistics: Map<string, Float64Array>;
  readonly losses: number[];
}

/** Runs the compiled graphs on the batches of the case. */
export class Harness {
  readonly #model: Model;
  readonly #spec: Case;
  readonly #batches: ReadonlyMap<string, Numbers>;
  readonly #file: string;
  readonly #loss: LossName;
  readonly #graph: Graph;
  readonly #inputs: readonly InputType[];

  constructor(model: Model, spec: Case, batches: ReadonlyMap<string, Numbers>, file: string) {
    this.#model = model;
    this.#spec = spec;
    this.#batches = batches;
    this.#file = file;
    this.#loss = lossNames[spec.loss];
    this.#graph = readGraph(model.graph);
    this.#inputs = this.#graph.inputs.map(({ integers }) => integers ?? 'float32');
  }

  /** Output and gradients at the initial weights. */
  async gradients(k: number): Promise<{ output: Float64Array; gradients: Map<string, Float64Array> }> {
    const { x, y, samples } = this.#batch(k);
    const options = { ...this.#options(samples), ...(await blocked()) };
    const plan = compileGradients(this.#model.graph, options);
    const session = await open(plan.model);
    const results = await session.run({
      ...Object.fromEntries(
        this.#model.weights.map(({ name, data, dims }) => [name, new ort.Tensor('float32', data, dims)]),
      ),
      ...Object.fromEntries(plan.names.data.map((name, index) => [name, x[index] as ort.Tensor])),
      [plan.names.labels]: y,
    });
    await session.release();
    const gradients = this.#model.weights.map(({ name, data }): [string, Float64Array] => {
      const result = plan.gradients.get(name);
      return [name, result === undefined ? new Float64Array(data.length) : numbers(results[result])];
    });
    return { output: numbers(results[plan.names.output]), gradients: new Map(gradients) };
  }

  /** Weights, running statistics (none where they are frozen) and losses after the steps of the case. */
  async train(optimizer: Optimizer): Promise<Trained> {
    const statistics = this.#spec.batch_norm === 'local' ? statisticsOf(this.#graph) : [];
    const state = new Map<string, ort.Tensor>(
      [...this.#model.weights, ...statistics].map(({ name, data, dims }) => [
        name,
        new ort.Tensor('float32', data, dims),
      ]),
    );
    const losses: number[] = [];
    const rule = updateRule(optimizer);
    for (let k = 0; k < this.#spec.steps; k++) {
      const { x, y, samples } = this.#batch(k);
      const plan = compileTraining(this.#model.graph, {
        ...this.#options(samples),
        ...(await blocked()),
        optimizer,
      });
      const session = await open(plan.model);
      const passed = [...plan.weights, ...plan.slots, ...plan.statistics];
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
        ...Object.fromEntries(plan.names.data.map((name, index) => [name, x[index] as ort.Tensor])),
        [plan.names.labels]: y,
        [plan.names.order]: new ort.Tensor('int32', rows, [1, samples]),
      });
      await session.release();
      for (const { name, after } of passed) state.set(name, results[after] as ort.Tensor);
      losses.push(numbers(results[plan.names.losses])[0] ?? NaN);
    }
    const valuesOf = (tensors: readonly { name: string }[]) =>
      new Map(tensors.map(({ name }) => [name, numbers(state.get(name))]));
    return { weights: valuesOf(this.#model.weights), statistics: valuesOf(statistics), losses };
  }

  #options(samples: number) {
    const labels = this.#batches.get('y/0');
    const ignored =
      this.#loss === 'softmax_cross_entropy' && (labels?.values.some((label) => label < 0) ?? false);
    const axis = this.#classAxis();
    return {
      loss: this.#loss,
      inputs: this.#inputs,
      batch: samples,
      ...(axis === undefined ? {} : { classAxis: axis }),
      ...(ignored ? { ignoredLabel: -100 } : {}),
      ...(this.#spec.batch_norm === 'local' ? { batchNorm: 'local' as const } : {}),
    };
  }

  /** Labels may be flattened over samples and positions; then the classes are last. */
  #classAxis(): 1 | undefined {
    const [samples, labels] = [this.#samples(0), this.#batches.get('y/0')?.shape ?? []];
    return labels[0] === samples ? classAxis(this.#graph, this.#loss, labels.slice(1)) : undefined;
  }

  #samples(k: number): number {
    const [first] = this.#graph.inputs;
    return tensorOf(this.#batches, this.#nameOf(first?.name ?? '', k), this.#file).shape[0] ?? 0;
  }

  /** `x/k`, and of a model with several inputs `x/NAME/k`. */
  #nameOf(input: string, k: number): string {
    return this.#graph.inputs.length === 1 ? `x/${k}` : `x/${input}/${k}`;
  }

  #batch(k: number): { x: ort.Tensor[]; y: ort.Tensor; samples: number } {
    const y = tensorOf(this.#batches, `y/${k}`, this.#file);
    const samples = this.#samples(k);
    const data = this.#graph.inputs.map((input, index) => {
      const x = tensorOf(this.#batches, this.#nameOf(input.name, k), this.#file);
      return dataTensor(this.#inputs[index] ?? 'float32', x);
    });
    const dims = [samples, ...labelShape(this.#graph, this.#loss, this.#classAxis())];
    const labels =
      labelType(this.#loss) === 'int32'
        ? new ort.Tensor('int32', Int32Array.from(y.values), dims)
        : new ort.Tensor('float32', Float32Array.from(y.values), dims);
    return { x: data, y: labels, samples };
  }
}

function dataTensor(type: InputType, { values, shape }: Numbers): ort.Tensor {
  switch (type) {
    case 'int64':
      return new ort.Tensor('int64', BigInt64Array.from(values, BigInt), shape);
    case 'int32':
      return new ort.Tensor('int32', Int32Array.from(values), shape);
    default:
      return new ort.Tensor('float32', Float32Array.from(values), shape);
  }
}

/** With the kernels that a training takes on this machine. */
async function blocked(): Promise<{ block?: number }> {
  const block = await blockSize();
  return block === undefined ? {} : { block };
}

function open(model: Uint8Array): Promise<ort.InferenceSession> {
  return ort.InferenceSession.create(model, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
}

export function numbers(tensor: ort.Tensor | undefined): Float64Array {
  return Float64Array.from(tensor?.data as Float32Array);
}
