import { gzipSync } from 'node:zlib';
import { readCsv } from '#cli/data/csv.js';
import { type ErrorCode } from '#core/errorCodes.js';
import { jobFile } from '#core/jobSpec.js';
import { createLayout } from '#core/layout.js';
import { decodeSafetensors, encodeSafetensors } from '#core/safetensors.js';
import { parseMessage } from '#core/schema.js';
import { decodeUpdateFile, encodeUpdateFile } from '#core/updateFile.js';
import { decodeVersion, encodeVersion } from '#core/versionFile.js';
import { policySchema } from '#gpu-runner/policy.js';
import { decodeDataset, encodeDataset } from '#local/consortium/dataset.js';
import { seal, sealedFor, unseal } from '#services/sealing.js';
import { generateX25519Key } from '#services/x25519.js';
import { parseYaml } from '#services/yamlFile.js';
import { readIdx } from '#trainer/data/idx.js';
import { readNpz } from '#trainer/data/npz.js';
import { readGraph } from '#trainer/graph.js';
import { readModel } from '#trainer/model.js';
import { readNumbersFile } from '#trainer/check/tensors.js';
import { addressOf, hashOf } from '../services/views.js';
import { linear } from '../trainer/models.js';
import { type Parser } from './fuzzing.js';
import { KB, refused, text, utf8 } from './bytes.js';

const model: readonly ErrorCode[] = [
  'MODEL_NOT_ONNX',
  'MODEL_EXTERNAL_DATA',
  'MODEL_UNKNOWN_OPERATOR',
  'MODEL_NO_WEIGHTS',
  'MODEL_SHAPE_MISMATCH',
  'MODEL_UNSUPPORTED',
];

const numbers = (count: number): Uint8Array => new Uint8Array(4 * count);

/** Every file that comes from somebody else. */
export async function fileParsers(): Promise<Parser[]> {
  const key = generateX25519Key();
  const layout = createLayout([
    { name: 'a', dims: [3, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
    { name: 'b', dims: [2], data: Float32Array.of(1, 2) },
  ]);
  return [
    {
      name: 'safetensors',
      examples: () => [
        encodeSafetensors(
          [
            { name: 'x', dtype: 'F32', shape: [2, 3], data: numbers(6) },
            { name: 'y', dtype: 'U8', shape: [5], data: new Uint8Array(5) },
          ],
          { classes: '10' },
        ),
        encodeSafetensors([]),
      ],
      parse: decodeSafetensors,
      codes: refused,
      cap: 64 * KB,
      header: 0,
    },
    {
      name: 'a model version',
      examples: () => [encodeVersion(layout, Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8), { lineage: 'digits' })],
      parse: decodeVersion,
      codes: refused,
      cap: 64 * KB,
      header: 0,
    },
    {
      name: 'an update',
      examples: () => [
        encodeUpdateFile({
          job: hashOf('job'),
          round: 3,
          runner: addressOf('runner'),
          ring: 'i32',
          sections: { delta: Int32Array.of(1, -2, 3) },
        }),
      ],
      parse: decodeUpdateFile,
      codes: refused,
      cap: 64 * KB,
      header: 8,
    },
    {
      name: 'a data set',
      examples: () => [
        encodeDataset({ shape: [2], classes: 3, x: Float32Array.of(1, 2, 3, 4), y: Uint8Array.of(0, 2) }),
      ],
      parse: (bytes) => {
        decodeDataset(bytes, 'the data set');
        readNumbersFile(bytes);
      },
      codes: refused,
      cap: 64 * KB,
      header: 0,
    },
    {
      name: 'a sealed envelope',
      examples: () => [seal(utf8('a model'), [{ id: 'north', publicKey: key.publicKey }], 'context')],
      // Opening one takes a millisecond of elliptic curves, so only each eighth is.
      parse: (bytes) =>
        sealedFor(bytes).length > 0 &&
        (bytes.at(-1) ?? 0) % 8 === 0 &&
        unseal(bytes, { id: 'north', privateKey: key.privateKey }, 'context'),
      codes: ['SEAL_BROKEN', 'SEAL_NOT_FOR_YOU'],
      cap: 64 * KB,
    },
    {
      name: 'an ONNX model',
      examples: () => [linear()],
      parse: (bytes) => readModel(bytes),
      codes: model,
      cap: 64 * KB,
    },
    {
      name: 'an ONNX graph',
      examples: () => [readModel(linear()).graph],
      parse: (bytes) => readGraph(bytes),
      codes: model,
      cap: 64 * KB,
    },
    {
      name: 'a CSV table',
      examples: () => [
        utf8('"a",b,label\n1,2.5,x\n"3",4e-2,"y ""z"""\n'),
        utf8('\ufeffa,label\r\n1,0\r\n2,1\r\n'),
      ],
      parse: (bytes) => readCsv(new TextDecoder().decode(bytes), 'label', 'the table'),
      codes: refused,
      cap: 64 * KB,
    },
    {
      name: 'an IDX file, gzipped or not',
      examples: () => {
        const plain = Uint8Array.of(0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6);
        return [plain, new Uint8Array(gzipSync(plain))];
      },
      parse: (bytes) => readIdx(bytes, 'the images'),
      codes: refused,
      cap: 64 * KB,
    },
    {
      name: 'an NPZ file',
      examples: () => [zipOf('x.npy', npyOf('<f4', '(2, 3)', numbers(6)))],
      parse: (bytes) => readNpz(bytes, 'the arrays'),
      codes: refused,
      cap: 64 * KB,
    },
    {
      name: 'job.yaml or policy.yaml',
      examples: () => [
        utf8('version: 1\nname: a\nmodel: b\nrounds: 3\ndata: {contract: d, input: [4], classes: 3}\n'),
        utf8('throttle: 2\nallow: []\n'),
      ],
      parse: (bytes) => {
        const value = parseYaml(text(bytes), 'the file');
        const isPolicy = typeof value === 'object' && value !== null && 'allow' in value;
        return parseMessage(isPolicy ? policySchema : jobFile, value, 'the file');
      },
      codes: refused,
      cap: 2 * KB,
    },
  ];
}

/** A NumPy array file. */
function npyOf(type: string, shape: string, data: Uint8Array): Uint8Array {
  const header = `{'descr': '${type}', 'fortran_order': False, 'shape': ${shape}, }`.padEnd(117) + '\n';
  return Buffer.concat([
    Uint8Array.of(0x93),
    utf8('NUMPY'),
    Uint8Array.of(1, 0, header.length, 0),
    utf8(header),
    data,
  ]);
}

/** A ZIP of one stored file. */
function zipOf(name: string, content: Uint8Array): Uint8Array {
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50);
  local.writeUInt32LE(content.length, 18);
  local.writeUInt32LE(content.length, 22);
  local.writeUInt16LE(name.length, 26);
  const entry = Buffer.alloc(46);
  entry.writeUInt32LE(0x02014b50);
  entry.writeUInt32LE(content.length, 20);
  entry.writeUInt32LE(content.length, 24);
  entry.writeUInt16LE(name.length, 28);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(30 + name.length + content.length, 16);
  return Buffer.concat([local, utf8(name), content, entry, utf8(name), end]);
}
