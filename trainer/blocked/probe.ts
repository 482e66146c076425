import { encodeModel, GraphBuilder, valueInfo } from '../onnx/builder.js';
import { blockedDomain } from './writer.js';

/** Fewer channels than any block; reordering takes multiples of four. */
const channels = 4;

/** What a probe is fed: `x` of these dims. */
export const probeDims = [1, channels, 1, 1] as const;

/** A model that brings `x` into blocks, as `y`: how many channels a block has is to be read nowhere else. */
export function probeModel(): Uint8Array<ArrayBuffer> {
  const builder = new GraphBuilder();
  builder.add('ReorderInput', ['x'], ['y'], {}).domain = blockedDomain;
  const graph = builder.graph('probe', [valueInfo('x', probeDims)], [valueInfo('y', [1, 'channels', 1, 1])]);
  return encodeModel(graph, 18);
}

/** Channels of a block, from the dims of `y`; undefined where the machine has no such kernels. */
export function blockOf(dims: readonly number[] | undefined): number | undefined {
  const padded = dims?.[1] ?? 0;
  return padded > channels ? padded : undefined;
}
