import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from '@jest/globals';
import { lossCurve } from '#cli/train/curve.js';
import { list, rates } from '#cli/train/options.js';
import { readSamples } from '#cli/train/samples.js';
import { bytesOf } from '#core/bytes.js';
import { decodeSafetensors, encodeSafetensors } from '#core/safetensors.js';

const folder = mkdtempSync(join(tmpdir(), 'roundtable-samples-'));
afterAll(() => rmSync(folder, { recursive: true }));

const write = (name: string, bytes: Uint8Array | string) => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
};
const read = (path: string, sample: number[], label?: string) => {
  const { tensors } = decodeSafetensors(readSamples(path, label, sample));
  return Object.fromEntries(
    [...tensors].map(([name, { dtype, shape, data }]) => [
      name,
      { dtype, shape, values: dtype === 'U8' ? [...data] : [...numbers(dtype, data)] },
    ]),
  );
};
const numbers = (dtype: string, data: Uint8Array) => {
  const { buffer } = new Uint8Array(data);
  return dtype === 'F32'
    ? new Float32Array(buffer)
    : dtype === 'I32'
      ? new Int32Array(buffer)
      : Array.from(new BigInt64Array(buffer), Number);
};
const code = (expected: string) => expect.objectContaining({ code: expected });

const idx = (type: number, dims: number[], data: Uint8Array) =>
  Buffer.concat([
    Buffer.from([0, 0, type, dims.length]),
    ...dims.map((dim) => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(dim);
      return bytes;
    }),
    data,
  ]);

const npy = (type: string, shape: string, data: Uint8Array, order = 'False') => {
  const header = `{'descr': '${type}', 'fortran_order': ${order}, 'shape': (${shape}), }\n`;
  const length = Buffer.alloc(2);
  length.writeUInt16LE(header.length);
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\x00', 'latin1'), length, Buffer.from(header), data]);
};
const npz = (entries: Record<string, Uint8Array>, compressed = false) => {
  const [locals, directory]: [Buffer[], Buffer[]] = [[], []];
  let offset = 0;
  for (const [name, content] of Object.entries(entries)) {
    const packed = compressed ? deflateRawSync(content) : content;
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(compressed ? 8 : 0, 4);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(content.length, 18);
    fields.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), fields, Buffer.from(name), packed]);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02\0\0'), fields, place, Buffer.from(name)]));
    locals.push(local);
    offset += local.length;
  }
  const end = Buffer.alloc(18);
  end.writeUInt16LE(directory.length, 6);
  end.writeUInt32LE(Buffer.concat(directory).length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...locals, ...directory, Buffer.from('PK\x05\x06'), end]);
};

describe('IDX', () => {
  const images = idx(
    8,
    [3, 2, 2],
    Uint8Array.from({ length: 12 }, (_, i) => i),
  );
  const labels = idx(8, [3], Uint8Array.of(2, 0, 1));

  test('images take the shape that the model wants, labels lie beside them, gzipped or not', () => {
    write('train-labels-idx1-ubyte.gz', gzipSync(labels));
    const path = write('train-images-idx3-ubyte.gz', gzipSync(images));
    expect(read(path, [1, 2, 2])).toEqual({
      x: { dtype: 'U8', shape: [3, 1, 2, 2], values: [...Array(12).keys()] },
      y: { dtype: 'U8', shape: [3], values: [2, 0, 1] },
    });
    write('plain-labels.idx', labels);
    expect(read(write('plain-images.idx', images), [4]).x?.shape).toEqual([3, 4]);
  });

  test('floats are turned from big-endian', () => {
    const data = Buffer.alloc(8);
    data.writeFloatBE(1.5, 0);
    data.writeFloatBE(-2, 4);
    write('float-labels.idx', idx(8, [2], Uint8Array.of(0, 1)));
    expect(read(write('float-images.idx', idx(13, [2, 1], data)), [1]).x?.values).toEqual([1.5, -2]);
  });

  test('a file that is cut off, of another type, or without labels is refused', () => {
    write('cut-labels.idx', labels);
    const cut = write('cut-images.idx', images.subarray(0, -1));
    expect(() => readSamples(cut, undefined, [4])).toThrow(/holds 11 bytes/);
    expect(() => readSamples(write('odd-images.idx', idx(9, [1], Uint8Array.of(1))), undefined, [1])).toThrow(
      code('FORMAT_INVALID'),
    );
    expect(() => readSamples(write('lone-images.idx', images), undefined, [4])).toThrow(code('NOT_FOUND'));
  });
});

describe('NPZ', () => {
  const x = npy('<f8', '2, 2', bytesOf(Float64Array.of(1, 2, 3, 4)));
  const y = npy('<i8', '2,', bytesOf(BigInt64Array.of(1n, 0n)));

  test.each([false, true])('arrays x and y, compressed: %s; float64 becomes float32', (compressed) => {
    const path = write(`data-${compressed}.npz`, npz({ 'x.npy': x, 'y.npy': y }, compressed));
    expect(read(path, [2])).toEqual({
      x: { dtype: 'F32', shape: [2, 2], values: [1, 2, 3, 4] },
      y: { dtype: 'I64', shape: [2], values: [1, 0] },
    });
  });

  test('other orders, other types and other files are refused', () => {
    const fortran = npy('<f4', '2,', bytesOf(Float32Array.of(1, 2)), 'True');
    expect(() => readSamples(write('f.npz', npz({ 'x.npy': fortran, 'y.npy': y })), undefined, [1])).toThrow(
      /Fortran/,
    );
    const complex = npy('<c8', '1,', new Uint8Array(8));
    expect(() => readSamples(write('c.npz', npz({ 'x.npy': complex })), undefined, [1])).toThrow(/type <c8/);
    expect(() => readSamples(write('no.npz', 'nothing'), undefined, [1])).toThrow(/not a ZIP/);
    expect(() => readSamples(write('y.npz', npz({ 'y.npy': y })), undefined, [1])).toThrow(/no array x/);
  });
});

test('CSV: the last column is the class, or the one that is named', () => {
  const path = write('data.csv', 'a,b,kind\n1,2,yes\n3,4,no\n');
  expect(read(path, [2])).toEqual({
    x: { dtype: 'F32', shape: [2, 2], values: [1, 2, 3, 4] },
    y: { dtype: 'I32', shape: [2], values: [1, 0] },
  });
  expect(read(write('first.csv', 'kind,a\n0,5\n1,6\n'), [1], 'kind').x?.values).toEqual([5, 6]);
});

test('safetensors: x and y, or x/NAME for models of several inputs', () => {
  const tensor = { dtype: 'F32' as const, shape: [2, 1], data: bytesOf(Float32Array.of(7, 8)) };
  const y = { name: 'y', dtype: 'U8' as const, shape: [2], data: Uint8Array.of(0, 1) };
  const one = write('one.safetensors', encodeSafetensors([{ name: 'x', ...tensor }, y]));
  expect(read(one, [1]).x?.values).toEqual([7, 8]);
  const named = ['x/ids', 'x/mask'].map((name) => ({ name, ...tensor }));
  const two = write('two.safetensors', encodeSafetensors([...named, y]));
  expect(Object.keys(read(two, [1])).sort()).toEqual(['x/ids', 'x/mask', 'y']);
});

test('options on the command line: lists, and shares by pattern', () => {
  expect(list('a.*, *.bias,')).toEqual(['a.*', '*.bias']);
  expect(rates('fc=0.5', rates('a=b=0.1'))).toEqual({ 'a=b': 0.1, fc: 0.5 });
  expect(() => rates('0.5')).toThrow(/pattern and a share/);
});

test('the loss curve falls from the upper left to the lower right, and needs two steps', () => {
  const theme = { columns: 40, unicode: true, color: false };
  const lines = lossCurve(theme, [4, 3, 2, 1]);
  expect(lines[0]).toMatch(/4\.00 │ •$/);
  expect(lines.at(-1)).toMatch(/1\.00 │ {4}•$/);
  expect(lossCurve(theme, [1])).toEqual([]);
});
