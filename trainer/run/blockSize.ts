import ort from 'onnxruntime-node';
import { blockOf, probeDims, probeModel } from '../blocked/probe.js';

let size: Promise<number | undefined> | undefined;

/**
 * How many channels a block of onnxruntime's convolution kernels has on this processor (16 with AVX-512, 8 with AVX2), or
 * undefined where it has none.
 */
export function blockSize(): Promise<number | undefined> {
  // A runtime built without these operators refuses the model.
  size ??= probe().catch(() => undefined);
  return size;
}

async function probe(): Promise<number | undefined> {
  const session = await ort.InferenceSession.create(probeModel(), {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 4,
  });
  const { y } = await session.run({ x: new ort.Tensor('float32', new Float32Array(4), probeDims) });
  await session.release();
  return blockOf(y?.dims);
}
