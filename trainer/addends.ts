import { passes } from './differentiate.js';
import { intAttribute, intsAttribute } from './onnx/attributes.js';
import type { NodeProto } from './onnx/onnx.gen.js';
import { elementCount, type Shape } from './onnx/tensor.js';
import { readEinsum } from './shapes/einsum.js';
import { NodeShapes, type KnownValues } from './shapes/values.js';

/** What is less counts as minus infinity in a softmax: masks are written with such numbers too. */
const hidden = -1e4;
/** Between a bias and what takes it away lie some reshapes and a product. */
const longest = 40;

/**
 * Follows what is added to a value through the graph, by the axes along which it varies. A norm or a softmax takes away what
 * is the same all along its own axes: then the result does not depend on it at all, in exact arithmetic.
 */
export class Addends {
  readonly #known: KnownValues;
  readonly #output: string;
  readonly #opset: number;
  readonly #readers = new Map<string, { node: NodeProto; input: number }[]>();
  readonly #answers = new Map<string, boolean>();

  /** @param output of the graph: a value that is also read there */
  constructor(nodes: readonly NodeProto[], output: string, known: KnownValues, opset: number) {
    this.#known = known;
    this.#output = output;
    this.#opset = opset;
    for (const node of nodes)
      node.input.forEach((name, input) => {
        if (!passes(node, input)) return;
        const readers = this.#readers.get(name);
        if (readers) readers.push({ node, input });
        else this.#readers.set(name, [{ node, input }]);
      });
  }

  /** Whether nothing of what is added to `value`, varying along these axes alone, reaches the output. */
  isTakenAway(value: string, axes: ReadonlySet<number>, depth = 0): boolean {
    const shape = this.#known.shapes.get(value);
    if (value === this.#output || !shape || depth > longest) return false;
    const varied = new Set([...axes].filter((axis) => shape[axis] !== 1));
    const key = `${value} ${[...varied].sort()}`;
    const known = this.#answers.get(key);
    if (known !== undefined) return known;
    const readers = this.#readers.get(value) ?? [];
    const answer = readers.every(({ node, input }) => this.#isTakenBy(node, input, shape, varied, depth + 1));
    this.#answers.set(key, answer);
    return answer;
  }

  #isTakenBy(
    node: NodeProto,
    input: number,
    shape: Shape,
    varied: ReadonlySet<number>,
    depth: number,
  ): boolean {
    const to = (axes: Iterable<number>) =>
      node.output.every((name) => name === '' || this.isTakenAway(name, new Set(axes), depth));
    const s = new NodeShapes(node, this.#known, this.#opset);
    const axis = (fallback: number) => s.axis('axis', fallback, shape.length);
    const result = this.#known.shapes.get(node.output[0] ?? '') ?? [];
    const spread = (axes: Iterable<number>) => [...axes].map((at) => at + result.length - shape.length);
    switch (node.opType) {
      case 'Softmax':
      case 'LogSoftmax':
        return !varied.has(axis(-1));
      case 'InstanceNormalization':
        return input === 0 && [...varied].every((at) => at < 2);
      case 'GroupNormalization': {
        const apart = intAttribute(node, 'num_groups', 1) === shape[1] ? 2 : 1;
        return input === 0 && [...varied].every((at) => at < apart);
      }
      case 'BatchNormalization':
        return (
          input === 0 && intAttribute(node, 'training_mode', 0) !== 0 && [...varied].every((at) => at === 1)
        );
      case 'LayerNormalization':
        return input === 0 && [...varied].every((at) => at < axis(-1));
      case 'Attention':
        return input === 1 && !varied.has(shape.length - 2);
      case 'Identity':
      case 'Cast':
      case 'Split':
      case 'Slice':
        return to(varied);
      case 'Add':
      case 'Sub':
        return to(spread(varied));
      case 'Mul':
      case 'Div': {
        if (node.opType === 'Div' && input !== 0) return false;
        const other = this.#known.shapes.get(node.input[1 - input] ?? '') ?? [];
        const shift = result.length - other.length;
        return to([...spread(varied), ...other.flatMap((size, at) => (size === 1 ? [] : [at + shift]))]);
      }
      case 'Where':
        return this.#isHidden(node.input[3 - input] ?? '') && this.#isMasked(node, spread(varied));
      case 'Transpose': {
        const perm = intsAttribute(node, 'perm') ?? [...shape.keys()].toReversed();
        return to(perm.flatMap((from, at) => (varied.has(from) ? [at] : [])));
      }
      case 'Expand':
        return to(spread(varied));
      case 'Reshape':
      case 'Flatten':
      case 'Squeeze':
      case 'Unsqueeze':
        return to(regrouped(shape, result, varied));
      case 'MatMul': {
        const rank = result.length;
        if (shape.length < 2 || rank < 2) return false;
        const free = input === 0 ? 2 : 1;
        const same = !varied.has(shape.length - free);
        return to([...result.keys()].filter((at) => at !== rank - free || !same));
      }
      case 'Einsum': {
        const { inputs, output } = readEinsum(s);
        const others = inputs.filter((_, index) => index !== input).join('');
        const own = [...(inputs[input] ?? '')].filter(
          (letter, at) => !varied.has(at) && !others.includes(letter),
        );
        return to([...output].flatMap((letter, at) => (own.includes(letter) ? [] : [at])));
      }
      default:
        return false;
    }
  }

  /** Behind a mask something is missing here and there, which only a softmax does not see. */
  #isMasked(mask: NodeProto, varied: readonly number[]): boolean {
    const name = mask.output[0] ?? '';
    const readers = this.#readers.get(name) ?? [];
    const rank = this.#known.shapes.get(name)?.length ?? 0;
    return (
      name !== this.#output &&
      readers.every(({ node }) => {
        const axis = intAttribute(node, 'axis', -1);
        return node.opType === 'Softmax' && !varied.includes(axis < 0 ? axis + rank : axis);
      })
    );
  }

  #isHidden(name: string): boolean {
    return this.#known.contents.get(name)?.every((number) => number <= hidden) ?? false;
  }
}

/** Axes after a change of shape: those that together hold what some axes together held before. */
function regrouped(from: Shape, to: Shape, varied: ReadonlySet<number>): number[] {
  const found: number[] = [];
  let [i, j] = [0, 0];
  while (i < from.length || j < to.length) {
    const [firstOld, firstNew] = [i, j];
    let [old, now] = [from[i++] ?? 1, to[j++] ?? 1];
    while (old !== now && (i < from.length || j < to.length)) {
      if (old < now && i < from.length) old *= from[i++] ?? 1;
      else if (j < to.length) now *= to[j++] ?? 1;
      else old *= from[i++] ?? 1;
    }
    const olds = Array.from({ length: i - firstOld }, (_, at) => firstOld + at);
    if (olds.some((at) => varied.has(at)))
      for (let at = firstNew; at < Math.min(j, to.length); at++) if ((to[at] ?? 1) !== 1) found.push(at);
  }
  return elementCount(from) === elementCount(to) ? found : [...to.keys()];
}
