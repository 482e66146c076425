import { RoundtableError } from '#core/errors.js';
import { describeNode } from './attributes.js';
import type { NodeProto } from './onnx.gen.js';

/** Attributes without a default in ONNX's specification, of the operators that are supported. */
const required: Record<string, string> = {
  AveragePool: 'kernel_shape',
  Cast: 'to',
  Concat: 'axis',
  DepthToSpace: 'blocksize',
  Einsum: 'equation',
  GroupNormalization: 'num_groups',
  MaxPool: 'kernel_shape',
  SpaceToDepth: 'blocksize',
};

/** @throws MODEL_NOT_ONNX where a node lacks an attribute that has no default. */
export function checkAttributes(node: NodeProto): void {
  const name = required[node.opType];
  if (node.domain !== '' || name === undefined || node.attribute.some((found) => found.name === name)) return;
  throw new RoundtableError(
    'MODEL_NOT_ONNX',
    `The ${describeNode(node)} lacks its attribute ${name}, for which ONNX has no default. Export the model again, or give it one.`,
    { details: { operator: node.opType, node: node.name } },
  );
}
