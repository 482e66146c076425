import { create } from '@bufbuild/protobuf';
import { TensorProtoSchema, type GraphProto, type TensorProto } from '../onnx/onnx.gen.js';
import { elementCount, readFloats, tensorShape } from '../onnx/tensor.js';
import { consumersOf, isMadeUp, plain, traceOf } from './traces.js';

/**
 * Whether a float initialiser is a parameter: not a buffer, and not a number that the exporter computed.
 * @returns a predicate over the names of the graph's initialisers
 */
export function parametersOf(graph: GraphProto): (tensor: TensorProto) => boolean {
  const consumers = consumersOf(graph);
  const claimed = new Set(graph.initializer.map(({ name }) => plain(name)));
  return (tensor) => {
    const uses = consumers.get(tensor.name) ?? [];
    const traces = uses.map(traceOf);
    if (traces.some(({ buffers }) => buffers.has(plain(tensor.name)))) return false;
    if (!isMadeUp(tensor.name)) return true;
    // A slope of PRelu is a parameter; one that is a number was exported as LeakyRelu.
    if (uses.some(({ opType, input }) => opType === 'PRelu' && input[1] === tensor.name)) return true;
    if (elementCount(tensorShape(tensor)) <= 1) return false;
    if (uses.some(({ opType }) => opType === 'InstanceNormalization') && isUniform(tensor)) return false;
    if (traces.every(({ known }) => !known)) return true;
    return traces.some(({ parameters }) => [...parameters].some((name) => !claimed.has(name)));
  };
}

export function copyOf(tensor: TensorProto, name: string): TensorProto {
  return create(TensorProtoSchema, { ...tensor, name });
}

export function isUniform(tensor: TensorProto): boolean {
  const values = readFloats(tensor);
  return values.every((value) => value === values[0]);
}
