import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from '@jest/globals';
import { readGraph } from '#trainer/graph.js';
import { readModel } from '#trainer/model.js';
import { valueInfo, type GraphBuilder } from '#trainer/onnx/builder.js';
import { TensorProto_DataType, TensorProtoSchema } from '#trainer/onnx/onnx.gen.js';
import { floatTensor } from '#trainer/onnx/tensor.js';
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

  // An InstanceNorm without parameters before one that was never trained: both have ones and zeros.
  test('the numbers of a norm without parameters are not those of one with some', () => {
    const file = edited(
      modelOf([2, 4], (builder) => {
        const [scale, shift] = [weight(builder, 'norm.weight', [2]), weight(builder, 'norm.bias', [2])];
        const first = builder.node('InstanceNormalization', ['x', scale, shift]);
        flatten(builder, builder.node('InstanceNormalization', [first, scale, shift]), 'head', 8);
      }),
      ({ graph }) => {
        const calls = ['%x, None, None', '%first, %p_norm_weight, %p_norm_bias'];
        graph?.node.slice(0, 2).forEach((node, at) => {
          node.metadataProps = [metadata('pkg.torch.onnx.fx_node', `args = (${calls[at]})`)];
        });
      },
    );
    expect(namesOf(file)).toEqual(['head', 'norm.bias', 'norm.weight']);
    const { nodes } = readGraph(readModel(file).graph);
    expect(nodes.map(({ input }) => input.slice(1, 3)).slice(0, 2)).toEqual([
      ['constant_norm_weight', 'constant_norm_bias'],
      ['norm.weight', 'norm.bias'],
    ]);
  });

  test('parameters of the model itself, which TorchScript tells apart by an Identity', () => {
    const file = edited(
      modelOf([4], (builder) => {
        const scale = weight(builder, 'scale', [4]);
        const other = builder.node('Identity', [scale], {}, 'other');
        flatten(builder, builder.node('Mul', [builder.node('Mul', ['x', scale]), other]), 'head', 4);
      }),
      ({ graph }) => graph?.node.slice(0, 1).forEach((node) => (node.name = 'Identity_5')),
    );
    expect(namesOf(file)).toEqual(['head', 'other', 'scale']);
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

test('a bias of zeros that was left out is trained, also that of a transposed convolution', () => {
  const file = edited(
    modelOf([2, 4], (builder) => {
      const made = builder.node('ConvTranspose', ['x', weight(builder, 'up.weight', [2, 3, 1])], {
        group: 2,
      });
      flatten(builder, made, 'head', 24);
    }),
    ({ graph }) => {
      for (const node of graph?.node.slice(0, 1) ?? [])
        node.metadataProps = [
          metadata('pkg.torch.onnx.fx_node', '%c : args = (%x, %p_up_weight, %p_up_bias)'),
        ];
    },
  );
  const { weights } = readModel(file);
  expect(weights.map(({ name, dims }) => [name, dims])).toContainEqual(['up_bias', [6]]);
});

/** Two products, one behind the other, by nodes and with equal weights of these names. */
const twice = (nodes: readonly string[], weights: readonly string[], others: readonly string[] = []) =>
  edited(
    modelOf([4], (builder) => {
      for (const name of weights) ramp(builder, name, [4, 4]);
      const once = builder.node('Tanh', [builder.node('MatMul', ['x', weights[0] ?? ''])]);
      const again = builder.node('Tanh', [builder.node('MatMul', [once, weights[1] ?? ''])]);
      const sum = others.reduce(
        (value, name) => builder.node('Add', [value, ramp(builder, name, [4])]),
        again,
      );
      flatten(builder, sum, 'head', 4);
    }),
    ({ graph }) => {
      const products = graph?.node.filter(({ opType }) => opType === 'MatMul') ?? [];
      products.forEach((node, at) => (node.name = nodes[at] ?? ''));
    },
  );

describe('one weight that the exporter wrote several times', () => {
  const folded = ['onnx::MatMul_7', 'onnx::MatMul_8'];

  test('because a module is called twice', () => {
    const file = twice(['/net/cell/MatMul', '/net/cell_1/MatMul'], folded);
    expect(namesOf(file)).toEqual(['head', 'onnx::MatMul_7']);
  });

  test('because a parameter was transposed at each call', () => {
    const calls = ['%x, %p_cell_weight', '%tanh, %p_cell_weight'];
    const file = edited(twice(['one', 'two'], ['val_7', 'val_8']), ({ graph }) => {
      const products = graph?.node.filter(({ opType }) => opType === 'MatMul') ?? [];
      products.slice(0, 2).forEach((node, at) => {
        node.metadataProps = [metadata('pkg.torch.onnx.fx_node', `%l : args = (${calls[at]})`)];
      });
    });
    expect(namesOf(file)).toEqual(['head', 'val_7']);
  });

  test('but not that of another module, though it has the same values', () => {
    expect(namesOf(twice(['/layers.0/MatMul', '/layers.1/MatMul'], folded))).toEqual(['head', ...folded]);
    const named = twice(['/cell/MatMul', '/cell_1/MatMul'], folded, ['cell_1.bias']);
    expect(namesOf(named)).toEqual(['cell_1.bias', 'head', ...folded]);
    const own = twice(['/cell/MatMul', '/cell_1/MatMul'], ['cell.weight', 'cell_1.weight']);
    expect(namesOf(own)).toEqual(['cell.weight', 'cell_1.weight', 'head']);
  });

  test('and among the inputs, where it may be replaced', () => {
    const file = edited(
      modelOf([4], (builder) => {
        ramp(builder, 'table', [3, 4]);
        builder.constants.push(floatTensor('onnx::MatMul_9', [4, 3], transposed(3, 4)));
        const rows = builder.node('MatMul', ['x', 'onnx::MatMul_9']);
        builder.node('MatMul', [builder.node('MatMul', [rows, 'table']), 'onnx::MatMul_9'], {}, 'logits');
      }),
      ({ graph }) => graph?.input.push(valueInfo('table', [3, 4]), valueInfo('onnx::MatMul_9', [4, 3])),
    );
    expect(namesOf(file)).toEqual(['table']);
  });

  test('transposed, by the name of the call that did it', () => {
    const file = edited(
      modelOf([4], (builder) => {
        ramp(builder, 'table', [3, 4]);
        builder.constants.push(floatTensor('t', [4, 3], transposed(3, 4)));
        const rows = builder.node('MatMul', [builder.node('MatMul', ['x', 't']), 'table']);
        builder.node('MatMul', [rows, 't'], {}, 'logits');
      }),
      ({ graph }) => {
        for (const node of graph?.node ?? [])
          if (node.input[1] === 't')
            node.metadataProps = [metadata('pkg.torch.onnx.fx_node', '%m : args = (%a, %t, %p_other_bias)')];
      },
    );
    expect(namesOf(file)).toEqual(['table']);
  });
});

test('a cut that the optimiser made once for two layers is made for each, from a weight of its own', () => {
  const file = edited(
    modelOf([4], (builder) => {
      ramp(builder, 'one.in_weight', [4, 8]);
      builder.add('Split', ['one.in_weight', builder.ints([2], [4, 4])], ['first', 'second'], { axis: 1 });
      const once = builder.node('MatMul', [builder.node('MatMul', ['x', 'first']), 'second']);
      flatten(
        builder,
        builder.node('MatMul', [builder.node('MatMul', [once, 'first']), 'second']),
        'head',
        4,
      );
    }),
    ({ graph }) => {
      const products = graph?.node.filter(({ opType }) => opType === 'MatMul') ?? [];
      products.forEach((node, at) => (node.metadataProps = call(at < 2 ? 'one' : 'two', '%getitem')));
    },
  );
  expect(namesOf(file)).toEqual(['head', 'one.in_weight', 'two_in_weight']);
});

describe('weights of zeros that became one', () => {
  test('the biases of the layers of a recurrent module', () => {
    const file = modelOf([2, 3], (builder) => {
      const bias = weight(builder, 'zeros', [1, 12]);
      let value = 'x';
      for (const layer of [0, 1]) {
        const w = weight(builder, `w${layer}`, [1, 6, layer === 0 ? 3 : 2]);
        const parts = [w, weight(builder, `r${layer}`, [1, 6, 2])];
        builder.add('GRU', [value, ...parts, bias], [`y${layer}`], { hidden_size: 2 });
        value = builder.node('Squeeze', [`y${layer}`, builder.ints([1], [1])]);
      }
      flatten(builder, value, 'head', 4);
    });
    expect(namesOf(file)).toEqual(['head', 'r0', 'r1', 'w0', 'w1', 'zeros', 'zeros/w1']);
  });

  test('factors of adapters that were transposed beforehand', () => {
    const file = edited(
      modelOf([4], (builder) => {
        builder.constants.push(floatTensor('permute_1', [4, 4], new Float32Array(16)));
        const once = builder.node('MatMul', ['x', 'permute_1']);
        flatten(builder, builder.node('MatMul', [once, 'permute_1']), 'head', 4);
      }),
      ({ graph }) => {
        ['%permute_1', '%permute_3'].forEach((name, at) => {
          const node = graph?.node[at];
          if (node) node.metadataProps = [metadata('pkg.torch.onnx.fx_node', `%m : args = (%a, ${name})`)];
        });
      },
    );
    expect(namesOf(file)).toEqual(['head', 'permute_1', 'permute_3']);
  });
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

/** A weight of values that are all different. */
function ramp(builder: GraphBuilder, name: string, shape: readonly number[]): string {
  const count = shape.reduce((product, dim) => product * dim, 1);
  builder.constants.push(
    floatTensor(
      name,
      shape,
      Float32Array.from({ length: count }, (_, at) => at + 1),
    ),
  );
  return name;
}

/** The values of a ramp of these rows and columns, column by column. */
function transposed(rows: number, columns: number): Float32Array {
  return Float32Array.from(
    { length: rows * columns },
    (_, at) => (at % rows) * columns + Math.floor(at / rows) + 1,
  );
}

function double(value: number) {
  const rawData = new Uint8Array(Float64Array.of(value).buffer);
  return create(TensorProtoSchema, { dims: [], dataType: TensorProto_DataType.DOUBLE, rawData });
}
