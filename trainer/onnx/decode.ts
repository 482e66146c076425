import type { DescMessage } from '@bufbuild/protobuf';
import { fromBinary } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { RoundtableError } from '#core/errors.js';
import { ModelProtoSchema, type ModelProto } from './onnx.gen.js';

/**
 * Messages plus variable-length numbers a model file may hold. Real models stay far below (a node is about ten
 * messages; weights are raw bytes, not numbers); without a bound, a file of a few megabytes of empty messages would
 * become gigabytes of objects.
 */
const maxElements = 1_000_000;
/** Nesting of messages: model, graph, node, attribute, tensor is 5; each subgraph adds 3. */
const maxDepth = 32;

/**
 * Decodes an ONNX file. Tensor bytes are views into `bytes`, not copies.
 * @throws MODEL_NOT_ONNX when the bytes are not a protobuf of that form, or are built to exhaust memory.
 */
export function decodeModel(bytes: Uint8Array): ModelProto {
  try {
    count(ModelProtoSchema, new BinaryReader(bytes), bytes.length, 1, { left: maxElements });
    return fromBinary(ModelProtoSchema, bytes, { readUnknownFields: false, recursionLimit: maxDepth + 1 });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RoundtableError(
      'MODEL_NOT_ONNX',
      `The file is not an ONNX model: ${reason}. Expected a protobuf as torch.onnx.export writes it; check that the file is complete.`,
      { cause },
    );
  }
}

/** Walks the wire format by the schema, without allocating, and throws when the budget is used up. */
function count(
  message: DescMessage,
  reader: BinaryReader,
  end: number,
  depth: number,
  budget: { left: number },
): void {
  if (depth > maxDepth) throw new Error(`messages are nested more than ${maxDepth} deep`);
  spend(budget, 1);
  while (reader.pos < end) {
    const [number, wireType] = reader.tag();
    const field = message.fields.find((candidate) => candidate.number === number);
    if (wireType !== WireType.LengthDelimited) {
      spend(budget, 1);
      reader.skip(wireType, number);
      continue;
    }
    const length = reader.uint32();
    const fieldEnd = reader.pos + length;
    if (fieldEnd > end) throw new Error('it ends in the middle of a field');
    const nested = field?.message;
    if (nested) count(nested, reader, fieldEnd, depth + 1, budget);
    else spend(budget, isVarintList(message, field?.name) ? length : 1);
    reader.pos = fieldEnd;
  }
  if (reader.pos !== end) throw new Error('a field is longer than the message around it');
}

function spend(budget: { left: number }, amount: number): void {
  budget.left -= amount;
  if (budget.left < 0)
    throw new Error(`it holds more than ${maxElements} messages and numbers outside of raw tensor bytes`);
}

/** Packed lists of variable-length integers: a byte of the file may become an object of its own. */
function isVarintList(message: DescMessage, field: string | undefined): boolean {
  return field !== undefined && varintLists.has(`${message.name}.${field}`);
}

const varintLists = new Set([
  'TensorProto.dims',
  'TensorProto.int32_data',
  'TensorProto.int64_data',
  'TensorProto.uint64_data',
  'AttributeProto.ints',
  'SparseTensorProto.dims',
  'IntIntListEntryProto.value',
  'ShardingSpecProto.device',
]);
