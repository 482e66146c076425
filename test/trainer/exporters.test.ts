import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from '@jest/globals';
import { readGraph } from '#trainer/graph.js';
import { readModel } from '#trainer/model.js';
import type { GraphBuilder } from '#trainer/onnx/builder.js';
import { TensorProto_DataType, TensorProtoSchema } from '#trainer/onnx/onnx.gen.js';
import { edited, metadata, modelOf, weight } from './models.js';

const namesOf = (file: Uint8Array) => readModel(file).weights.map(({ name }) => name);
const flatten = (builder: GraphBuilder, value: string, head: string, rows: number) =>
  void builder.node(
    'Gemm',
    [builder.node('Flatten', [value]), weight(builder, head, [rows, 3])],
    {},
    'logits',
  );

const call = (module: string, parameter: string) => [
  metadata('pkg.torch.onnx.fx_node', `%call : args = (%x, ${parameter})`),
  metadata('pkg.torch.onnx.name_scopes', `['', '${module}', 'call']`),
];

describe('what an exporter made one', () => {
  // An untrained norm: its scale and variance are ones, its shift and mean zeros.
  test('the statistics of a norm do not follow its scale and shift', () => {
    const file = modelOf([2, 4], (builder) => {
      const [scale, shift] = [weight(builder, 'norm.weight', [2]), weight(builder, 'norm.bias', [2])];
      const normal = builder.node('BatchNormalization', ['x', scale, shift, shift, scale]);
      flatten(builder, normal, 'head', 8);
    });
    expect(namesOf(file)).toEqual(['head', 'norm.bias', 'norm.weight']);
    const graph = readGraph(readModel(file).graph);
    const norm = graph.nodes.find(({ opType }) => opType === 'BatchNormalization');
    expect(norm?.input.slice(3)).toEqual(['norm.running_mean', 'norm.running_var']);
    expect(graph.constants.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['norm.running_mean', 'norm.running_var']),
    );
  });

  test('a bias that the optimiser itself splits goes to the module that reads its parts', () => {
    const file = edited(
      modelOf([8], (builder) => {
        const bias = weight(builder, 'one.in_bias', [8]);
        const sum = builder.node('Add', ['x', bias]);
        builder.add('Split', [bias, builder.ints([2], [4, 4])], ['first', 'second'], { axis: 0 });
        const other = builder.node('Add', [builder.node('Concat', ['second', 'first'], { axis: 0 }), sum]);
        flatten(builder, other, 'head', 8);
      }),
      ({ graph }) => {
        for (const node of graph?.node ?? []) {
          if (node.input[1] === 'one.in_bias') node.metadataProps = call('one', '%p_one_in_bias');
          if (node.opType === 'Concat') node.metadataProps = call('two', '%getitem');
        }
      },
    );
    expect(namesOf(file)).toEqual(['head', 'one.in_bias', 'two_in_bias']);
  });
});

test('a module that TorchScript calls twice keeps one weight', () => {
  const file = edited(
    modelOf([4], (builder) => {
      const w = weight(builder, 'cell.weight', [4, 4]);
      const once = builder.node('Tanh', [builder.node('MatMul', ['x', w])]);
      flatten(builder, builder.node('Tanh', [builder.node('MatMul', [once, w])]), 'head', 4);
    }),
    ({ graph }) => {
      const scopes = ['/cell/', '/cell/', '/cell_1/', '/cell_1/'];
      graph?.node.forEach((node, at) => (node.name = `${scopes[at] ?? '/'}${node.opType}`));
    },
  );
  expect(namesOf(file)).toEqual(['cell.weight', 'head']);
});

describe('what an exporter renamed', () => {
  test('the slope of a PRelu is trained, also a single one', () => {
    const file = modelOf([4], (builder) => {
      const slope = weight(builder, 'onnx::PRelu_19', [1]);
      flatten(builder, builder.node('PRelu', ['x', slope]), 'head', 4);
    });
    expect(namesOf(file)).toEqual(['head', 'onnx::PRelu_19']);
  });

  test('other single numbers are not', () => {
    const file = modelOf([4], (builder) => {
      const factor = weight(builder, 'onnx::Mul_19', [1]);
      flatten(builder, builder.node('Mul', ['x', factor]), 'head', 4);
    });
    expect(namesOf(file)).toEqual(['head']);
  });
});

test('numbers in double precision, and casts to it, become float32', () => {
  const file = modelOf([4], (builder) => {
    const half = builder.node('Constant', [], { value: { tensor: double(0.5) } });
    const cast = builder.node('Cast', [half], { to: TensorProto_DataType.FLOAT });
    const scaled = builder.node('Mul', ['x', cast]);
    flatten(builder, builder.node('Cast', [scaled], { to: TensorProto_DataType.DOUBLE }), 'head', 4);
  });
  const graph = readGraph(readModel(file).graph);
  const types = graph.nodes
    .filter(({ opType }) => opType === 'Cast')
    .map(({ attribute }) => Number(attribute[0]?.i));
  expect(types).toEqual([TensorProto_DataType.FLOAT, TensorProto_DataType.FLOAT]);
  expect(namesOf(file)).toEqual(['head']);
});

function double(value: number) {
  const rawData = new Uint8Array(Float64Array.of(value).buffer);
  return create(TensorProtoSchema, { dims: [], dataType: TensorProto_DataType.DOUBLE, rawData });
}
