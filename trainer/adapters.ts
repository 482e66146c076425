import { create } from '@bufbuild/protobuf';
import { RoundtableError } from '#core/errors.js';
import { describeNode, intAttribute, intsAttribute } from './onnx/attributes.js';
import { nodeLike } from './onnx/builder.js';
import { NodeProtoSchema, type NodeProto, type TensorProto } from './onnx/onnx.gen.js';
import { floatTensor, tensorShape } from './onnx/tensor.js';
import { matcher } from './patterns.js';

/** LoRA (Hu et al. 2022): y = x W + (alpha / rank) (x A) B beside weights W that stay as they are. */
export interface AdapterOptions {
  /** Which weights: patterns of names. */
  readonly match: readonly string[];
  readonly rank: number;
  /** The rank by default. */
  readonly alpha?: number;
  /** Only B is trained: then the mean of updates is the update of the mean, as FFA-LoRA (Sun et al. 2024) uses. */
  readonly freezeA?: boolean;
}

/**
 * Inserts adapters behind every product with a matched weight. NAME.lora_A [in, rank] is uniform within 1 / sqrt(in) and
 * follows from NAME and the shape alone, so that all who read the model get the same; NAME.lora_B [rank, out] is zero.
 * @returns the nodes in order, the new tensors, and the names of those that are trained
 * @throws INVALID_INPUT where nothing is matched, MODEL_UNSUPPORTED where a matched weight is used by anything but a
 * matrix product
 */
export function insertAdapters(
  nodes: readonly NodeProto[],
  weights: readonly TensorProto[],
  options: AdapterOptions,
): { nodes: NodeProto[]; tensors: TensorProto[]; trained: string[] } {
  const { rank, alpha = rank } = options;
  if (!(Number.isSafeInteger(rank) && rank >= 1))
    throw new RoundtableError('INVALID_INPUT', `An adapter's rank is a whole number from 1, not ${rank}.`);
  const isMatched = matcher(options.match);
  const matched = new Map(
    weights
      .filter((tensor) => isMatched(tensor.name) && tensor.dims.length === 2)
      .map((tensor) => [tensor.name, tensor]),
  );
  if (matched.size === 0)
    throw new RoundtableError(
      'INVALID_INPUT',
      `No matrix of the model meets ${options.match.join(', ')}. Its matrices are ${weights
        .filter(({ dims }) => dims.length === 2)
        .map(({ name }) => name)
        .join(', ')}.`,
    );
  const tensors = new Map<string, TensorProto>();
  const scale = 'lora/scale';
  const turned = new Map<string, string>();
  const placed = nodes.flatMap((node) => {
    const weight = node.input.find((name) => matched.has(name) || turned.has(name));
    if (weight === undefined) return [node];
    if (node.opType === 'Transpose' && intsAttribute(node, 'perm')?.join() !== '0,1') {
      turned.set(node.output[0] ?? '', weight);
      return [node];
    }
    const name = turned.get(weight) ?? weight;
    const isProduct =
      (node.opType === 'MatMul' || node.opType === 'Gemm') &&
      node.input[1] === weight &&
      node.input[0] !== weight &&
      intAttribute(node, 'transA', 0) === 0;
    if (!isProduct)
      throw new RoundtableError(
        'MODEL_UNSUPPORTED',
        `The weight ${name} cannot have an adapter: the ${describeNode(node)} uses it, and only matrix products can. Leave it out of the pattern.`,
        { details: { weight: name } },
      );
    const swapped = turned.has(weight) !== (intAttribute(node, 'transB', 0) !== 0);
    const [rows = 1, columns = 1] = tensorShape(matched.get(name) ?? floatTensor('', [], new Float32Array()));
    const [width, out] = swapped ? [columns, rows] : [rows, columns];
    const [a, b] = [`${name}.lora_A`, `${name}.lora_B`];
    tensors.set(a, floatTensor(a, [width, rank], uniform(a, width * rank, 1 / Math.sqrt(width))));
    tensors.set(b, floatTensor(b, [rank, out], new Float32Array(rank * out)));
    tensors.set(scale, floatTensor(scale, [], Float32Array.of(alpha / rank)));
    const [result = ''] = node.output;
    const part = (kind: string) => `${result}/lora_${kind}`;
    return [
      nodeLike(node, { output: [part('base')] }),
      add('MatMul', [node.input[0] ?? '', a], part('down')),
      add('MatMul', [part('down'), b], part('up')),
      add('Mul', [part('up'), scale], part('scaled')),
      add('Add', [part('base'), part('scaled')], result),
    ];
  });
  const trained = [...tensors.keys()].filter(
    (name) => name.endsWith('.lora_B') || (name.endsWith('.lora_A') && !options.freezeA),
  );
  return { nodes: placed, tensors: [...tensors.values()], trained };
}

function add(opType: string, input: string[], output: string): NodeProto {
  return create(NodeProtoSchema, { opType, name: `${output}/${opType}`, input, output: [output] });
}

/** Uniform between -bound and bound; the same for the same name on every machine (FNV-1a, then mulberry32). */
function uniform(name: string, count: number, bound: number): Float32Array {
  let state = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) state = Math.imul(state ^ byte, 0x01000193);
  return Float32Array.from({ length: count }, () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 31 - 1) * bound;
  });
}
