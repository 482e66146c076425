import ort from 'onnxruntime-node';
import type { Passed, TrainingPlan } from '../compile/plan.js';
import { encodeModel, GraphBuilder, valueInfo } from '../onnx/builder.js';
import type { Provider } from './device.js';

/** What passes from step to step. */
export function passedOf(plan: Pick<TrainingPlan, 'weights' | 'slots' | 'statistics'>): readonly Passed[] {
  return [...plan.weights, ...plan.slots, ...plan.statistics];
}

/** Where a session leaves what passes from step to step: on a device that would otherwise get it anew in every step. */
export function residence(
  provider: Provider,
  plan: TrainingPlan,
): Pick<ort.InferenceSession.SessionOptions, 'preferredOutputLocation'> {
  if (provider !== 'webgpu') return {};
  const places = passedOf(plan).map(({ after }) => [after, 'gpu-buffer'] as const);
  return { preferredOutputLocation: Object.fromEntries(places) };
}

/**
 * Copies of tensors in memory. What lies on a device goes through a session that does nothing else, because getData() of
 * such a tensor ends the process (onnxruntime-node 1.30).
 */
export async function inMemory(
  provider: Provider,
  tensors: ReadonlyMap<string, ort.Tensor>,
): Promise<Map<string, ort.Tensor>> {
  const away = [...tensors].filter(([, tensor]) => tensor.location === 'gpu-buffer');
  if (away.length === 0) return new Map(tensors);
  const builder = new GraphBuilder();
  const outputs = away.map((_, index) => builder.node('Identity', [`in_${index}`]));
  const proto = builder.graph(
    'copies',
    away.map(([, { dims }], index) => valueInfo(`in_${index}`, dims)),
    away.map(([, { dims }], index) => valueInfo(outputs[index] ?? '', dims)),
  );
  const session = await ort.InferenceSession.create(encodeModel(proto, 18), {
    executionProviders: [provider],
    logSeverityLevel: 3,
  });
  try {
    const results = await session.run(
      Object.fromEntries(away.map(([, tensor], index) => [`in_${index}`, tensor])),
    );
    const copies = away.map(([name], index) => [name, results[outputs[index] ?? ''] as ort.Tensor] as const);
    return new Map([...tensors, ...copies]);
  } finally {
    await session.release();
  }
}
