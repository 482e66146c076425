import { RoundtableError } from '#core/errors.js';
import {
  AttributeProto_AttributeType as AttributeType,
  type AttributeProto,
  type NodeProto,
  type TensorProto,
} from './onnx.gen.js';

/** Reads a node's attributes with the default that the operator's specification gives. */
export function intAttribute(node: NodeProto, name: string, fallback: number): number {
  const found = find(node, name, AttributeType.INT);
  return found ? safe(node, name, found.i) : fallback;
}

export function floatAttribute(node: NodeProto, name: string, fallback: number): number {
  return find(node, name, AttributeType.FLOAT)?.f ?? fallback;
}

export function intsAttribute(node: NodeProto, name: string): number[] | undefined {
  return find(node, name, AttributeType.INTS)?.ints.map((value) => safe(node, name, value));
}

export function textAttribute(node: NodeProto, name: string, fallback: string): string {
  const found = find(node, name, AttributeType.STRING);
  return found ? new TextDecoder().decode(found.s) : fallback;
}

export function tensorAttribute(node: NodeProto, name: string): TensorProto | undefined {
  return find(node, name, AttributeType.TENSOR)?.t;
}

/** `Conv node "conv1"`, as errors name it. */
export function describeNode(node: NodeProto): string {
  return `${node.domain ? `${node.domain}.` : ''}${node.opType} node "${(node.name || (node.output[0] ?? '')).slice(0, 200)}"`;
}

function find(node: NodeProto, name: string, type: AttributeType): AttributeProto | undefined {
  const found = node.attribute.find((candidate) => candidate.name === name);
  if (found && found.type !== type)
    throw new RoundtableError(
      'MODEL_NOT_ONNX',
      `The attribute ${name} of the ${describeNode(node)} has type ${AttributeType[found.type] ?? found.type}; ${AttributeType[type]} was expected.`,
    );
  return found;
}

function safe(node: NodeProto, name: string, value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number))
    throw new RoundtableError(
      'MODEL_NOT_ONNX',
      `The attribute ${name} of the ${describeNode(node)} is beyond 2^53.`,
    );
  return number;
}
