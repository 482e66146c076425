import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from '@jest/globals';
import { readModel } from '#trainer/model.js';
import { StringStringEntryProtoSchema, TensorProto_DataLocation } from '#trainer/onnx/onnx.gen.js';
import { readModelFile } from '#trainer/run/modelFile.js';
import { edited, linear } from './models.js';
import { temporaryFolder } from './parts.js';

const folder = temporaryFolder();
const models = join(folder, 'models');
mkdirSync(models);

/** The linear model with its weights in a file of their own, as torch.onnx.export writes large ones. */
function external(change: (entries: Record<string, string>, index: number) => void = () => undefined) {
  const parts: Uint8Array[] = [];
  const model = edited(linear(Math.cos), ({ graph }) => {
    let offset = 0;
    graph?.initializer.forEach((tensor, index) => {
      const bytes = new Uint8Array(tensor.rawData);
      const entries = { location: 'linear.onnx.data', offset: `${offset}`, length: `${bytes.length}` };
      change(entries, index);
      parts.push(bytes);
      offset += bytes.length;
      tensor.rawData = new Uint8Array();
      tensor.dataLocation = TensorProto_DataLocation.EXTERNAL;
      tensor.externalData = Object.entries(entries).map(([key, value]) =>
        create(StringStringEntryProtoSchema, { key, value }),
      );
    });
  });
  const path = join(models, 'linear.onnx');
  writeFileSync(path, model);
  writeFileSync(join(models, 'linear.onnx.data'), Buffer.concat(parts));
  return path;
}

test('weights in a file beside the model are the same as in the model', () => {
  const [apart, whole] = [readModel(readModelFile(external())), readModel(linear(Math.cos))];
  expect(apart.weights).toEqual(whole.weights);
  expect(apart.graph).toEqual(whole.graph);
});

describe('a model may read nothing but files of its own folder', () => {
  writeFileSync(join(folder, 'secret'), new Uint8Array(4096));
  symlinkSync(join(folder, 'secret'), join(models, 'link'));
  test.each([
    ['a path upwards', { location: '../secret' }, /\.\.\/secret/],
    ['a path upwards in the middle', { location: 'a/../../secret' }, /only files in the folder/],
    ['an absolute path', { location: join(folder, 'secret') }, /only files in the folder/],
    ['a link that leads away', { location: 'link' }, /only files in the folder/],
    ['the folder itself', { location: '.' }, /not a file/],
    ['a place behind the end', { offset: '100000' }, /which has 60/],
    ['more than there is', { length: '100000' }, /which has 60/],
    ['a place that is no number', { offset: '-4' }, /number of bytes/],
  ])('%s', (_, wrong, message) => {
    const path = external((entries, index) => void (index === 0 && Object.assign(entries, wrong)));
    const read = () => readModelFile(path);
    expect(read).toThrow(message);
    expect(read).toThrow(expect.objectContaining({ code: 'MODEL_EXTERNAL_DATA' }));
  });

  test('a file that is missing is named', () => {
    const path = external((entries) => void (entries['location'] = 'gone.data'));
    expect(() => readModelFile(path)).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
  });

  test('the same bytes for many tensors, which would fill the memory', () => {
    const path = external((entries) => void Object.assign(entries, { offset: '0', length: '48' }));
    expect(() => readModelFile(path)).toThrow(expect.objectContaining({ code: 'MODEL_EXTERNAL_DATA' }));
  });
});
