import { listSupportedBackends } from 'onnxruntime-node';
import { encodeModel, GraphBuilder, valueInfo } from '../onnx/builder.js';
import { floatTensor } from '../onnx/tensor.js';
import { readModel } from '../model.js';
import type { TrainRequest } from './messages.js';
import { Sessions } from './sessions.js';
import { Steps } from './steps.js';

/** Execution providers in the order in which they are tried. None but the CPU has been run on real hardware by this project. */
const providers = ['cuda', 'webgpu', 'dml', 'coreml', 'cpu'] as const;
export type Provider = (typeof providers)[number];

/** The first provider that this runtime has and that takes two training steps to the CPU's result. */
export async function findProvider(): Promise<Provider> {
  const present = new Set<string>(listSupportedBackends().map(({ name }) => name));
  const expected = await trial('cpu');
  for (const provider of providers) {
    if (provider === 'cpu' || !present.has(provider)) continue;
    const found = await trial(provider).catch(() => undefined);
    if (found?.every((value, i) => Math.abs(value - (expected[i] ?? NaN)) < 1e-3)) return provider;
  }
  return 'cpu';
}

/** The weights of a small network after two steps, taken as every training takes them. */
async function trial(provider: Provider): Promise<Float32Array> {
  const builder = new GraphBuilder();
  const initial = Float32Array.from({ length: 12 }, (_, i) => Math.sin(i));
  builder.constants.push(floatTensor('w', [4, 3], initial));
  builder.node('MatMul', [builder.node('Tanh', ['x']), 'w'], {}, 'logits');
  const proto = builder.graph('trial', [valueInfo('x', ['n', 4])], [valueInfo('logits', ['n', 3])]);
  const { graph, weights } = readModel(encodeModel(proto, 18));
  const wishes = { loss: 'softmax_cross_entropy', optimizer: { name: 'sgd', lr: 0.1 }, batch: 2 } as const;
  const sessions = new Sessions(1, provider);
  const loaded = await sessions.training(graph, { ...wishes, inputs: ['float32'] }, () => undefined);
  try {
    const x = { sample: [4], type: 'float32' as const, values: Float32Array.of(1, -1, 0.5, 2, 0, 1, -2, 1) };
    const nowhere = { graph: '', weights: '', data: '', out: '' };
    const request: TrainRequest = { ...wishes, ...nowhere, epochs: 1, seed: new Uint8Array(32) };
    const run = new Steps({
      data: { samples: 2, columns: new Map([['', x]]), y: Int32Array.of(0, 2), labels: [], classes: 3 },
      columns: [x],
      weights,
      corrections: new Map(),
      statistics: [],
      request,
      perEpoch: 2,
      steps: 2,
      kept: undefined,
      meter: undefined,
      provider,
      onProgress: () => undefined,
    });
    await run.take(loaded, 2, Int32Array.of(0, 1, 1, 0), () => Promise.resolve());
    await run.settle();
    return run.finish()[0]?.data ?? new Float32Array();
  } finally {
    await loaded.session.release();
  }
}
