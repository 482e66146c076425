import { create } from '@bufbuild/protobuf';
import { intAttribute } from './onnx/attributes.js';
import { attribute, nodeLike } from './onnx/builder.js';
import {
  NodeProtoSchema,
  TensorProto_DataType as DataType,
  type GraphProto,
  type NodeProto,
} from './onnx/onnx.gen.js';
import { intTensor, readFloats, tensorShape } from './onnx/tensor.js';

/**
 * torch.nn.Embedding(padding_idx=p) gives row p no gradient, and no export says so. What remains is that this row begins as
 * zeros: the only row of zeros in a table is taken for the padding. Its value is read through another type, which no
 * gradient passes; where the table is tied to a head, the row still learns from there, as in PyTorch.
 */
export function restorePadding(graph: GraphProto): void {
  const tables = new Map(
    graph.initializer
      .filter(({ dataType, dims }) => dataType === DataType.FLOAT && dims.length === 2)
      .map((tensor) => [tensor.name, tensor]),
  );
  const rows = new Map<string, number | undefined>();
  const added = new Map<string, number>();
  graph.node = graph.node.flatMap((node) => {
    const [name = '', ids = ''] = node.input;
    const table =
      node.opType === 'Gather' && intAttribute(node, 'axis', 0) === 0 ? tables.get(name) : undefined;
    if (!table) return [node];
    if (!rows.has(name)) rows.set(name, onlyZeroRow(tensorShape(table), readFloats(table)));
    const row = rows.get(name);
    if (row === undefined) return [node];
    const [result = ''] = node.output;
    const part = (kind: string) => `${result}/${kind}`;
    added.set(`${name}/padding`, row);
    added.set('padding/axis', -1);
    return [
      nodeLike(node, { output: [part('rows')] }),
      make('Cast', [part('rows')], part('wide'), DataType.DOUBLE),
      make('Cast', [part('wide')], part('fixed'), DataType.FLOAT),
      make('Cast', [ids], part('ids'), DataType.INT64),
      make('Equal', [part('ids'), `${name}/padding`], part('is_padding')),
      make('Unsqueeze', [part('is_padding'), 'padding/axis'], part('mask')),
      make('Where', [part('mask'), part('fixed'), part('rows')], result),
    ];
  });
  for (const [name, value] of added)
    graph.initializer.push(intTensor(name, name === 'padding/axis' ? [1] : [], [value]));
}

function make(opType: string, input: string[], output: string, to?: DataType): NodeProto {
  return create(NodeProtoSchema, {
    opType,
    name: `${output}/${opType}`,
    input,
    output: [output],
    attribute: to === undefined ? [] : [attribute('to', to)],
  });
}

function onlyZeroRow([count = 0, width = 0]: readonly number[], values: Float32Array): number | undefined {
  if (count < 2 || width < 2) return undefined;
  const zeros = Array.from({ length: count }, (_, row) => row).filter((row) =>
    values.subarray(row * width, (row + 1) * width).every((value) => value === 0),
  );
  return zeros.length === 1 ? zeros[0] : undefined;
}
