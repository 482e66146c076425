import { describe, expect, test } from '@jest/globals';
import { tieDerived } from '#trainer/exporters/derived.js';
import { tensorAttribute } from '#trainer/onnx/attributes.js';
import { GraphBuilder, valueInfo } from '#trainer/onnx/builder.js';
import type { GraphProto } from '#trainer/onnx/onnx.gen.js';
import { floatTensor, readFloats } from '#trainer/onnx/tensor.js';
import { seeded } from '../support/seeded.js';
import { metadata } from './models.js';

/** An element of a computed weight, from that of the weight, that of its transpose, and whether it is on the diagonal. */
type Formula = (straight: number, turned: number, diagonal: number) => number;

const side = 7;
const f = Math.fround;
const random = seeded(3);
const drawn = Float32Array.from({ length: side * side }, () => random() - 0.5);
const elementOf = (at: number): [number, number, number] => {
  const [row, column] = [Math.floor(at / side), at % side];
  return [drawn[at] ?? 0, drawn[column * side + row] ?? 0, Number(row === column)];
};
const computed = (formula: Formula) => drawn.map((_, at) => formula(...elementOf(at)));

/** A model that multiplies by w, and by what an exporter computed of it. */
function graphWith(copy: string, values: Float32Array, shape = [side, side], call?: string): GraphProto {
  const builder = new GraphBuilder();
  builder.constants.push(floatTensor('w', shape, drawn.slice(0, values.length)));
  builder.constants.push(floatTensor(copy, shape, values));
  builder.node('MatMul', ['x', 'w'], {}, 'straight');
  builder.node('MatMul', ['x', copy], {}, 'other');
  const results = ['straight', 'other'].map((name) => valueInfo(name, ['n', side]));
  const graph = builder.graph('graph', [], results);
  const last = graph.node.at(-1);
  if (call !== undefined && last) last.metadataProps = [metadata('pkg.torch.onnx.fx_node', call)];
  return graph;
}

const weightsOf = (graph: GraphProto) => graph.initializer.map(({ name }) => name);

describe('a weight that the exporter computed from another is that one again', () => {
  const formulas: [string, Formula][] = [
    ['w + 1', (w) => f(w + 1)],
    ['-w', (w) => -w],
    ['1 - w', (w) => f(1 - w)],
    ['w / sqrt(7)', (w) => f(w / Math.sqrt(7))],
    ['0.3 w - 0.1', (w) => f(f(f(0.3) * w) - f(0.1))],
    ['w + w.t()', (w, turned) => f(w + turned)],
    ['w - w.t() - 0.1 eye', (w, turned, diagonal) => f(f(w - turned) - f(f(0.1) * diagonal))],
    ['(2 w).t()', (_, turned) => f(2 * turned)],
  ];
  test.each(formulas)('%s', (_, formula) => {
    const values = computed(formula);
    const graph = graphWith('onnx::MatMul_7', values);
    tieDerived(graph);
    expect(weightsOf(graph)).toEqual(['w']);
    const again = evaluate(graph, 'onnx::MatMul_7');
    for (const [at, value] of values.entries()) expect(again[at]).toBeCloseTo(value, 6);
  });

  test('also where the call that reads it has its name', () => {
    const values = computed((w) => f(w + 1));
    const called = graphWith('add', values, undefined, '%m : args = (%x, %add)');
    tieDerived(called);
    expect(weightsOf(called)).toEqual(['w']);
    const named = graphWith('add', values);
    tieDerived(named);
    expect(weightsOf(named)).toEqual(['w', 'add']);
  });
});

describe('a weight stays a weight of its own', () => {
  const cases: [string, Float32Array][] = [
    ['with values of its own', drawn.map(() => random())],
    ['with equal values, which another layer may have', drawn],
    [
      'when one value is off',
      computed((w) => f(w + 1)).map((value, at) => (at === 40 ? f(value + 1e-4) : value)),
    ],
    ['when it is no multiple, but a square', drawn.map((w) => f(w * w))],
    ['of the same number everywhere', drawn.map(() => 1)],
  ];
  test.each(cases)('%s', (_, values) => {
    const graph = graphWith('val_7', values);
    tieDerived(graph);
    expect(weightsOf(graph)).toEqual(['w', 'val_7']);
  });

  test('when it is too small to tell', () => {
    const graph = graphWith(
      'val_7',
      drawn.slice(0, 4).map((w) => f(w + 1)),
      [2, 2],
    );
    tieDerived(graph);
    expect(weightsOf(graph)).toEqual(['w', 'val_7']);
  });
});

/** What the added nodes make of w. */
function evaluate(graph: GraphProto, name: string): Float32Array {
  const known = new Map<string, Float32Array>(
    graph.initializer.map((tensor) => [tensor.name, readFloats(tensor)]),
  );
  for (const node of graph.node) {
    const [a, b] = node.input.map((input) => known.get(input));
    const other = (at: number) => (b?.length === 1 ? b[0] : b?.[at]) ?? NaN;
    const tensor = tensorAttribute(node, 'value');
    const results: Record<string, () => Float32Array | undefined> = {
      Constant: () => (tensor ? readFloats(tensor) : undefined),
      Transpose: () => a?.map((_, at) => a[(at % side) * side + Math.floor(at / side)] ?? NaN),
      Mul: () => a?.map((value, at) => value * other(at)),
      Add: () => a?.map((value, at) => value + other(at)),
    };
    const result = results[node.opType]?.();
    if (result) known.set(node.output[0] ?? '', result);
  }
  return known.get(name) ?? new Float32Array();
}
