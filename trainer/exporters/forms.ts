/** Forms of values that only exporters use: sequences, and numbers in double precision. */
import { create } from '@bufbuild/protobuf';
import { intAttribute, tensorAttribute } from '../onnx/attributes.js';
import {
  NodeProtoSchema,
  TensorProto_DataType as DataType,
  type GraphProto,
  type TensorProto,
} from '../onnx/onnx.gen.js';
import { floatTensor, intTensor, readDoubles, readNumbers, tensorShape } from '../onnx/tensor.js';

/** SplitToSequence and SequenceAt (unoptimised exports) are slices. */
export function flattenSequences(graph: GraphProto): void {
  const constants = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  for (const node of graph.node) {
    const tensor = node.opType === 'Constant' ? tensorAttribute(node, 'value') : undefined;
    if (tensor && node.output[0]) constants.set(node.output[0], tensor);
  }
  const numbers = (name: string | undefined) => {
    const tensor = constants.get(name ?? '');
    return tensor && tensor.dataType !== DataType.FLOAT ? readNumbers(tensor) : undefined;
  };
  const splits = new Map(
    graph.node
      .filter(({ opType }) => opType === 'SplitToSequence')
      .map((node) => [node.output[0] ?? '', node]),
  );
  graph.node = graph.node.map((node) => {
    const split = node.opType === 'SequenceAt' ? splits.get(node.input[0] ?? '') : undefined;
    if (!split) return node;
    const sizes = numbers(split.input[1]);
    const [position] = numbers(node.input[1]) ?? [];
    if (!sizes || position === undefined || position < 0 || intAttribute(split, 'keepdims', 1) === 0)
      return node;
    const isList = constants.get(split.input[1] ?? '')?.dims.length === 1;
    const at = (index: number) =>
      isList ? sizes.slice(0, index).reduce((sum, size) => sum + size, 0) : index * (sizes[0] ?? 1);
    const bounds = [at(position), at(position + 1), intAttribute(split, 'axis', 0)].map((value, index) => {
      const name = `${node.output[0]}/${['from', 'to', 'axis'][index]}`;
      graph.initializer.push(intTensor(name, [1], [value]));
      return name;
    });
    return create(NodeProtoSchema, {
      opType: 'Slice',
      name: node.name,
      input: [split.input[0] ?? '', ...bounds],
      output: node.output,
      metadataProps: node.metadataProps,
    });
  });
}

/** TorchScript writes numbers of Python as doubles and casts them where they are used: they become float32 at once. */
export function narrowDoubles(graph: GraphProto): void {
  graph.initializer = graph.initializer.map(narrowed);
  for (const { opType, attribute } of graph.node)
    for (const part of attribute) {
      if (part.t) part.t = narrowed(part.t);
      if (opType === 'Cast' && part.name === 'to' && part.i === BigInt(DataType.DOUBLE))
        part.i = BigInt(DataType.FLOAT);
    }
}

function narrowed(tensor: TensorProto): TensorProto {
  if (tensor.dataType !== DataType.DOUBLE) return tensor;
  return floatTensor(tensor.name, tensorShape(tensor), Float32Array.from(readDoubles(tensor)));
}
