import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { encodeModel, GraphBuilder, valueInfo } from '#trainer/onnx/builder.js';
import { ModelProtoSchema, StringStringEntryProtoSchema, type ModelProto } from '#trainer/onnx/onnx.gen.js';
import { floatTensor } from '#trainer/onnx/tensor.js';

/** Linear softmax classifier of 4 numbers into 3 classes. */
export function linear(values: (index: number) => number = () => 0): Uint8Array {
  const builder = new GraphBuilder();
  builder.constants.push(
    floatTensor(
      'w',
      [3, 4],
      Float32Array.from({ length: 12 }, (_, index) => values(index)),
    ),
  );
  builder.constants.push(
    floatTensor(
      'b',
      [3],
      Float32Array.from({ length: 3 }, (_, index) => values(12 + index)),
    ),
  );
  builder.node('Gemm', ['x', 'w', 'b'], { transB: 1 }, 'logits');
  return encodeModel(
    builder.graph('linear', [valueInfo('x', ['n', 4])], [valueInfo('logits', ['n', 3])]),
    18,
  );
}

/** A one-layer model around whatever `build` puts between `x` [n, ...sample] and `logits`. */
export function modelOf(
  sample: readonly (number | string)[],
  build: (builder: GraphBuilder) => void,
  opset = 18,
): Uint8Array {
  const builder = new GraphBuilder();
  build(builder);
  return encodeModel(
    builder.graph('model', [valueInfo('x', ['n', ...sample])], [valueInfo('logits', ['n', 3])]),
    opset,
  );
}

export function weight(builder: GraphBuilder, name: string, shape: readonly number[]): string {
  const count = shape.reduce((product, dim) => product * dim, 1);
  builder.constants.push(floatTensor(name, shape, new Float32Array(count).fill(0.25)));
  return name;
}

/** The same file with a change made to its message. */
export function edited(bytes: Uint8Array, edit: (model: ModelProto) => void): Uint8Array {
  const model = fromBinary(ModelProtoSchema, bytes);
  edit(model);
  return toBinary(ModelProtoSchema, model);
}

export function metadata(key: string, value: string) {
  return create(StringStringEntryProtoSchema, { key, value });
}
