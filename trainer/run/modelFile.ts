import { closeSync, fstatSync, openSync, readSync, realpathSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import { toBinary } from '@bufbuild/protobuf';
import { RoundtableError } from '#core/errors.js';
import { decodeModel } from '../onnx/decode.js';
import { readBytesSync } from './files.js';
import {
  ModelProtoSchema,
  TensorProto_DataLocation,
  type ModelProto,
  type TensorProto,
} from '../onnx/onnx.gen.js';

/**
 * Reads a model and the tensors that it keeps in files beside it (torch.onnx.export with external_data writes
 * `model.onnx.data`). Such a file must lie in the model's own folder or below it, also behind symbolic links, and together
 * the tensors may not be larger than their files.
 * @throws NOT_FOUND, MODEL_NOT_ONNX, MODEL_EXTERNAL_DATA
 */
export function readModelFile(path: string): ModelProto {
  const model = decodeModel(readBytesSync(path));
  const external = externalTensors(model);
  if (external.length === 0) return model;
  const files = new Map<string, { descriptor: number; size: number }>();
  try {
    let [wanted, held] = [0, 0];
    for (const tensor of external) {
      const { location, offset, length } = placeOf(tensor);
      const known = files.get(location);
      const file = known ?? openBeside(path, location, tensor);
      files.set(location, file);
      held += known ? 0 : file.size;
      const bytes = length ?? file.size - offset;
      wanted += bytes;
      if (offset + bytes > file.size || wanted > held)
        throw refused(
          tensor,
          `asks for ${bytes} bytes from place ${offset} of ${location}, which has ${file.size}; is the file of another export?`,
        );
      tensor.rawData = readPart(file.descriptor, offset, bytes);
      tensor.dataLocation = TensorProto_DataLocation.DEFAULT;
      tensor.externalData = [];
    }
  } finally {
    for (const { descriptor } of files.values()) closeSync(descriptor);
  }
  return model;
}

/**
 * A model as one file: the bytes of `path`, or, where it keeps tensors beside it, all of it in one message.
 * @throws as readModelFile, and MODEL_UNSUPPORTED where one message cannot hold it
 */
export function wholeModelFile(path: string): Uint8Array<ArrayBuffer> {
  const bytes = readBytesSync(path);
  if (externalTensors(decodeModel(bytes)).length === 0) return new Uint8Array(bytes);
  const model = readModelFile(path);
  const held = (model.graph?.initializer ?? []).reduce((sum, { rawData }) => sum + rawData.length, 0);
  if (held >= 2 ** 31)
    throw new RoundtableError(
      'MODEL_UNSUPPORTED',
      `The model ${path} holds ${held} bytes of weights; a job takes models of up to 2 GB.`,
    );
  return toBinary(ModelProtoSchema, model);
}

function externalTensors(model: ModelProto): TensorProto[] {
  return (model.graph?.initializer ?? []).filter(
    ({ dataLocation, externalData }) =>
      dataLocation === TensorProto_DataLocation.EXTERNAL || externalData.length > 0,
  );
}

function placeOf(tensor: TensorProto): { location: string; offset: number; length: number | undefined } {
  const entry = (key: string) => tensor.externalData.find((candidate) => candidate.key === key)?.value;
  const number = (key: string) => {
    const text = entry(key);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value))
      throw refused(tensor, `names the ${key} ${text}; a number of bytes is expected`);
    return value;
  };
  const location = entry('location');
  if (!location) throw refused(tensor, 'names no file');
  return { location, offset: number('offset') ?? 0, length: number('length') };
}

/** What the path leads to is compared with the folder, not the path itself: a link may lead elsewhere. */
function openBeside(
  path: string,
  location: string,
  tensor: TensorProto,
): { descriptor: number; size: number } {
  const outside = `names the file ${location}; only files in the folder of the model are read`;
  if (isAbsolute(location) || location.includes('\0') || location.split(/[/\\]/).includes('..'))
    throw refused(tensor, outside);
  const folder = realpathSync(dirname(path));
  let real: string;
  try {
    real = realpathSync(join(folder, location));
  } catch (cause) {
    throw new RoundtableError(
      'NOT_FOUND',
      `The model ${path} keeps the tensor ${tensor.name} in ${location}, which is not beside it. Copy it there.`,
      { cause },
    );
  }
  const way = relative(folder, real);
  if (way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way)) throw refused(tensor, outside);
  const descriptor = openSync(real, 'r');
  const status = fstatSync(descriptor);
  if (!status.isFile()) {
    closeSync(descriptor);
    throw refused(tensor, `names ${location}, which is not a file`);
  }
  return { descriptor, size: status.size };
}

function readPart(descriptor: number, offset: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  // A single read moves at most 2 GiB.
  for (let done = 0; done < length;) {
    const count = readSync(descriptor, bytes, done, Math.min(length - done, 2 ** 30), offset + done);
    if (count === 0) break;
    done += count;
  }
  return bytes;
}

function refused(tensor: TensorProto, what: string): RoundtableError {
  return new RoundtableError('MODEL_EXTERNAL_DATA', `The tensor ${tensor.name} ${what}.`, {
    details: { tensor: tensor.name },
  });
}
