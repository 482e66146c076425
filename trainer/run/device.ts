import ort, { listSupportedBackends } from 'onnxruntime-node';
import { compileTraining } from '../compile/training.js';
import { readModel } from '../model.js';
import { encodeModel, GraphBuilder, valueInfo } from '../onnx/builder.js';
import { floatTensor } from '../onnx/tensor.js';

/**
 * Execution providers in the order in which they are tried. None but the CPU has been run on real hardware by this
 * project. WebGPU is not among them: it computes a Scan on the CPU, step by step.
 */
const providers = ['cuda', 'dml', 'coreml', 'cpu'] as const;
export type Provider = (typeof providers)[number];

/** The first provider that this runtime has and that takes a training step to the CPU's result. */
export async function findProvider(): Promise<Provider> {
  const present = new Set<string>(listSupportedBackends().map(({ name }) => name));
  const expected = await trialStep('cpu');
  for (const provider of providers) {
    if (provider === 'cpu' || !present.has(provider)) continue;
    const found = await trialStep(provider).catch(() => undefined);
    if (found?.every((value, i) => Math.abs(value - (expected[i] ?? NaN)) < 1e-3)) return provider;
  }
  return 'cpu';
}

/** The weights of a small network after one step. */
async function trialStep(provider: Provider): Promise<Float32Array> {
  const builder = new GraphBuilder();
  builder.constants.push(
    floatTensor(
      'w',
      [4, 3],
      Float32Array.from({ length: 12 }, (_, i) => Math.sin(i)),
    ),
  );
  builder.node('MatMul', [builder.node('Tanh', ['x']), 'w'], {}, 'logits');
  const proto = builder.graph('trial', [valueInfo('x', ['n', 4])], [valueInfo('logits', ['n', 3])]);
  const { graph, weights } = readModel(encodeModel(proto, 18));
  const { model, names, ...plan } = compileTraining(graph, {
    loss: 'softmax_cross_entropy',
    optimizer: { name: 'sgd', lr: 0.1 },
    batch: 2,
    inputs: ['float32'],
  });
  const session = await ort.InferenceSession.create(model, {
    executionProviders: [provider],
    logSeverityLevel: 4,
  });
  try {
    const [first] = plan.weights;
    const results = await session.run({
      [first?.before ?? '']: new ort.Tensor('float32', weights[0]?.data ?? new Float32Array(), [4, 3]),
      [names.data[0] ?? '']: new ort.Tensor('float32', Float32Array.of(1, -1, 0.5, 2, 0, 1, -2, 1), [2, 4]),
      [names.labels]: new ort.Tensor('int32', Int32Array.of(0, 2), [2]),
      [names.order]: new ort.Tensor('int32', Int32Array.of(0, 1), [1, 2]),
    });
    return results[first?.after ?? '']?.data as Float32Array;
  } finally {
    await session.release();
  }
}
