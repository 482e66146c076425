import { create } from '@bufbuild/protobuf';
import { RoundtableError } from '#core/errors.js';
import { nodeLike, type GraphBuilder, type Names } from './onnx/builder.js';
import { NodeProtoSchema, TensorProto_DataType as DataType, type NodeProto } from './onnx/onnx.gen.js';
import { elementCount, intTensor, type Shape } from './onnx/tensor.js';
import { matcher } from './patterns.js';

/** A factor of 0 or 1/(1 - share) for each of the values of a node. */
export interface Mask {
  readonly name: string;
  readonly shape: Shape;
  readonly share: number;
}

/**
 * Inserts dropout (Srivastava et al. 2014) behind nodes: the name of the node, of its result, or of a weight that it reads
 * must meet a pattern. Exports of `model.eval()` hold none.
 * @param rates share of values that become zero, 0 to below 1, by pattern
 * @param shapeOf shape of a value
 * @returns the nodes, which now read masks, and the masks that are to be made for them
 * @throws INVALID_INPUT where a pattern meets nothing, or a share is not one
 */
export function insertDropout(
  nodes: readonly NodeProto[],
  rates: Readonly<Record<string, number>>,
  weights: readonly string[],
  shapeOf: (value: string) => Shape,
  names: Names,
): { nodes: NodeProto[]; masks: Mask[] } {
  const trained = new Set(weights);
  const patterns = Object.entries(rates).map(([pattern, share]) => ({
    pattern,
    share,
    meets: matcher([pattern]),
    used: false,
  }));
  const wrong = patterns.find(({ share }) => !(share >= 0 && share < 1));
  if (wrong)
    throw new RoundtableError(
      'INVALID_INPUT',
      `dropout of ${wrong.pattern} is ${wrong.share}; a share from 0 to below 1 is expected.`,
    );
  const masks: Mask[] = [];
  const dropped = nodes.flatMap((node) => {
    const called = [node.name, node.output[0] ?? '', ...node.input.filter((name) => trained.has(name))];
    const found = patterns.filter(({ meets }) => called.some(meets));
    for (const pattern of found) pattern.used = true;
    const [share] = found.map((pattern) => pattern.share);
    if (!share) return [node];
    const [result = '', ...others] = node.output;
    const kept = names.fresh(`${result}/kept`);
    const mask = { name: names.fresh(`${result}/mask`), shape: shapeOf(result), share };
    masks.push(mask);
    const product = create(NodeProtoSchema, {
      opType: 'Mul',
      name: names.fresh(`${node.name}/dropout`),
      input: [kept, mask.name],
      output: [result],
    });
    return [nodeLike(node, { output: [kept, ...others] }), product];
  });
  const unused = patterns.find(({ used }) => !used);
  if (unused)
    throw new RoundtableError(
      'INVALID_INPUT',
      `dropout names ${unused.pattern}, which no node of the model meets. Its nodes are ${nodes
        .map(({ name, output }) => name || (output[0] ?? ''))
        .slice(0, 50)
        .join(', ')}${nodes.length > 50 ? ' and others' : ''}.`,
    );
  return { nodes: dropped, masks };
}

/**
 * Makes the masks of one step. A value is dropped when a hash of its place and the step's seed is small: nothing is
 * remembered from step to step, so a training that was interrupted goes on with the same masks. The hash is a
 * multiply-xorshift (the finaliser of Steele et al. 2014, SplitMix) in int64, which onnxruntime multiplies modulo 2^64.
 */
export function appendMasks(builder: GraphBuilder, masks: readonly Mask[], seed: string): void {
  masks.forEach(({ name, shape, share }, site) => {
    const count = elementCount(shape);
    const wide = (value: bigint) => wideConstant(builder, value);
    const unsigned = (value: string) => builder.node('Cast', [value], { to: DataType.UINT64 });
    const signed = (value: string) => builder.node('Cast', [value], { to: DataType.INT64 });
    const mixed = (value: string, factor: bigint) => {
      const bits = unsigned(value);
      const high = builder.node('BitShift', [bits, unsigned(builder.ints([], [32]))], { direction: 'RIGHT' });
      return builder.node('Mul', [signed(builder.node('BitwiseXor', [bits, high])), wide(factor)]);
    };
    const place = builder.node('Range', [
      builder.ints([], [0]),
      builder.ints([], [count]),
      builder.ints([], [1]),
    ]);
    const start = builder.node('Mul', [
      builder.node('Add', [seed, builder.ints([], [site * 1_000_003])]),
      wide(0x9e3779b97f4a7c15n),
    ]);
    const hash = mixed(mixed(builder.node('Add', [place, start]), 0xbf58476d1ce4e5b9n), 0x94d049bb133111ebn);
    // The upper 31 bits as a number from 0 to below 1.
    const upper = builder.node('BitShift', [unsigned(hash), unsigned(builder.ints([], [33]))], {
      direction: 'RIGHT',
    });
    const level = builder.ints([], [Math.round(share * 2 ** 31)]);
    const keeps = builder.node('GreaterOrEqual', [signed(upper), level]);
    const factors = builder.node('Where', [
      keeps,
      builder.floats([], [1 / (1 - share)]),
      builder.floats([], [0]),
    ]);
    builder.node('Reshape', [factors, builder.ints([shape.length], shape)], {}, name);
  });
}

/** An int64 constant of any 64 bits. */
function wideConstant(builder: GraphBuilder, value: bigint): string {
  const name = builder.names.fresh('factor');
  const tensor = intTensor(name, [], [0]);
  tensor.rawData = new Uint8Array(BigInt64Array.of(BigInt.asIntN(64, value)).buffer);
  builder.constants.push(tensor);
  return name;
}
