/** Weights that an exporter computed from others, which the model uses as they are too: one weight again. */
import { create } from '@bufbuild/protobuf';
import { attribute } from '../onnx/builder.js';
import {
  NodeProtoSchema,
  TensorProto_DataType as DataType,
  type AttributeProto,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from '../onnx/onnx.gen.js';
import { elementCount, floatTensor, readFloats, tensorShape } from '../onnx/tensor.js';
import { isUniform } from './parameters.js';
import { consumersOf, isCopy } from './traces.js';

/** With fewer values a combination could be found by chance. */
const fewest = 8;
/** So many values tell which combination it could be; all of them are compared then. */
const sampled = 64;
/** Of the largest value: what a few float32 operations round away. */
const rounding = 2 ** -21;

/**
 * Both exporters fold what a model computes of a weight w and numbers (`w + 1`, `-w`, `(w * s).t()`, `w - w.t() - eye`). Where
 * it uses w as well, there are then two initialisers, which would be trained as two weights. Which is the computed one says
 * its name, or the call that reads it; from what, its values: they are a w + b w' + c + d I everywhere.
 */
export function tieDerived(graph: GraphProto): void {
  const consumers = consumersOf(graph);
  const weights = graph.initializer
    .filter(({ dataType }) => dataType === DataType.FLOAT)
    .map((tensor) => ({ tensor, shape: tensorShape(tensor) }))
    .filter(({ shape }) => elementCount(shape) >= fewest)
    .map((weight) => ({ ...weight, values: readFloats(weight.tensor) }));
  const isCopied = ({ tensor }: Weight) => isCopy(tensor, consumers.get(tensor.name) ?? []);
  const originals = weights.filter((weight) => !isCopied(weight) && !isUniform(weight.tensor));
  for (const copy of weights.filter(isCopied)) {
    for (const original of originals) {
      const found = combinationOf(copy, original);
      if (!found) continue;
      graph.initializer = graph.initializer.filter((tensor) => tensor !== copy.tensor);
      graph.node.unshift(...computing(copy, original.tensor.name, found));
      break;
    }
  }
}

interface Weight {
  readonly tensor: TensorProto;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Factors of a weight, of its transpose, of ones and of the identity matrix. */
interface Combination {
  readonly straight: number;
  readonly turned: number;
  readonly summand: number;
  readonly diagonal: number;
}

function combinationOf(copy: Weight, original: Weight): Combination | undefined {
  const [rows = 0, columns = 0] = original.shape;
  const isStraight = copy.shape.join() === original.shape.join();
  const isTurned = original.shape.length === 2 && copy.shape.join() === [columns, rows].join();
  if (!isStraight && !isTurned) return undefined;
  const { values } = original;
  const terms: [keyof Combination, Term][] = [['summand', () => 1]];
  if (isStraight) terms.push(['straight', (i) => values[i] ?? 0]);
  if (isTurned) terms.push(['turned', (i) => values[(i % rows) * columns + Math.floor(i / rows)] ?? 0]);
  if (isStraight && isTurned) terms.push(['diagonal', (i) => Number(i % (rows + 1) === 0)]);
  const factors = factorsOf(
    copy.values,
    terms.map(([, term]) => term),
  );
  if (!factors) return undefined;
  const found = { straight: 0, turned: 0, summand: 0, diagonal: 0 };
  terms.forEach(([name], at) => (found[name] = factors[at] ?? 0));
  const { straight, turned, summand, diagonal } = found;
  // Equal values are no computation: they say nothing of whose they are.
  const isEqual = summand === 0 && diagonal === 0 && [straight, turned].sort().join() === '0,1';
  return isEqual || (straight === 0 && turned === 0) ? undefined : found;
}

/** What of each element is a part. */
type Term = (index: number) => number;

/** Factors with which all values are the sum of the terms, but for rounding. */
function factorsOf(values: Float32Array, terms: readonly Term[]): number[] | undefined {
  // Odd, so that it is no number of whole rows.
  const step = Math.floor(values.length / sampled) | 1;
  const some = Array.from({ length: Math.ceil(values.length / step) }, (_, i) => i * step);
  const total = (of: Term) => some.reduce((sum, index) => sum + of(index), 0);
  const solved = solve(
    terms.map((term) => terms.map((other) => total((i) => term(i) * other(i)))),
    terms.map((term) => total((i) => term(i) * (values[i] ?? 0))),
  );
  if (!solved) return undefined;
  const largest = some.reduce((most, index) => Math.max(most, Math.abs(values[index] ?? 0)), 0);
  const factors = solved.map((factor, at) => {
    const most = some.reduce((size, index) => Math.max(size, Math.abs(terms[at]?.(index) ?? 0)), 0);
    return Math.abs(factor) * most <= rounding * largest ? 0 : plainest(factor);
  });
  const isMet = (index: number) => {
    const parts = terms.map((term, at) => (factors[at] ?? 0) * term(index));
    const size = parts.reduce((most, part) => Math.max(most, Math.abs(part)), largest);
    return Math.abs(parts.reduce((a, b) => a + b) - (values[index] ?? 0)) <= rounding * size;
  };
  return some.every(isMet) && values.every((_, index) => isMet(index)) ? factors : undefined;
}

/** Linear equations by elimination; undefined where they have no one solution (a weight that is its own transpose). */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] | undefined {
  const rows = matrix.map((row, at) => [...row, right[at] ?? 0]);
  for (let at = 0; at < rows.length; at++) {
    const pivot = rows.slice(at).sort((a, b) => Math.abs(b[at] ?? 0) - Math.abs(a[at] ?? 0))[0] ?? [];
    rows.splice(rows.indexOf(pivot), 1);
    rows.splice(at, 0, pivot);
    const head = pivot[at] ?? 0;
    if (!(Math.abs(head) > 1e-9 * (matrix[at]?.[at] ?? 0))) return undefined;
    for (const row of rows) {
      if (row === pivot) continue;
      const factor = (row[at] ?? 0) / head;
      pivot.forEach((value, column) => (row[column] = (row[column] ?? 0) - factor * value));
    }
  }
  return rows.map((row, at) => (row.at(-1) ?? 0) / (row[at] ?? 0));
}

/** The number that was meant, where it has few digits. */
function plainest(number: number): number {
  const few = Number(number.toPrecision(5));
  return Math.abs(few - number) <= 4 * rounding * Math.abs(number) ? few : number;
}

function computing(copy: Weight, original: string, found: Combination): NodeProto[] {
  const { straight, turned, summand, diagonal } = found;
  const nodes: NodeProto[] = [];
  const node = (opType: string, input: string[], attributes: AttributeProto[] = []): string => {
    const output = `derived/${copy.tensor.name}/${nodes.length}`;
    nodes.push(
      create(NodeProtoSchema, { opType, name: output, input, output: [output], attribute: attributes }),
    );
    return output;
  };
  const constant = (values: Float32Array, shape: readonly number[] = []) =>
    node('Constant', [], [attribute('value', { tensor: floatTensor('', shape, values) })]);
  const times = (value: string, factor: number) =>
    factor === 1 ? value : node('Mul', [value, constant(Float32Array.of(factor))]);
  const [rows = 0] = copy.shape;
  const identity = () => copy.values.map((_, i) => (i % (rows + 1) === 0 ? diagonal : 0));
  const terms = [
    ...(straight === 0 ? [] : [times(original, straight)]),
    ...(turned === 0 ? [] : [times(node('Transpose', [original], [attribute('perm', [1, 0])]), turned)]),
    ...(summand === 0 ? [] : [constant(Float32Array.of(summand))]),
    ...(diagonal === 0 ? [] : [constant(identity(), copy.shape)]),
  ];
  terms.reduce((sum, term) => node('Add', [sum, term]));
  const last = nodes.at(-1);
  if (last) last.output = [copy.tensor.name];
  return nodes;
}
