import { readdirSync, writeFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { decodeSafetensors, encodeSafetensors } from '#core/safetensors.js';
import { startTraining, temporaryFolder } from './parts.js';

const folder = fileURLToPath(new URL('cases/', import.meta.url));
const temporary = temporaryFolder();
const training = startTraining();

const exports = readdirSync(folder).filter((file) => file.endsWith('.onnx'));
const filesOf = (file: string) => {
  const name = file.split('.')[0] ?? '';
  return {
    model: join(folder, file),
    batch: join(folder, `${name}.batch.safetensors`),
    reference: join(folder, `${name}.reference.safetensors`),
    case: join(folder, `${name}.json`),
  };
};

describe('gradients, losses and three steps of each optimiser are those of PyTorch', () => {
  test.each(exports)('%s', async (file) => {
    const { groups } = await training.check(filesOf(file));
    const beyond = groups.flatMap(({ group, tensors }) =>
      tensors
        .filter(({ passed }) => !passed)
        .map(({ name, error, bound }) => ({ group, name, error, bound })),
    );
    expect(beyond).toEqual([]);
    const kept = file.startsWith('resnet-local') ? (rule: string) => [`statistics/${rule}`] : () => [];
    const rules = ['sgd', 'momentum', 'adamw'].flatMap((rule) => [rule, ...kept(rule), `loss/${rule}`]);
    expect(groups.map(({ group }) => group)).toEqual(['output', 'grad', ...rules]);
    expect(groups.every(({ tensors }) => tensors.length > 0)).toBe(true);
  });

  // The newer exporter folds a BatchNorm into the convolution before it; with its values it is found again.
  test('a folded norm that the reference does not tell about is named, not trained as something else', async () => {
    const files = filesOf('resnet-frozen.dynamo.onnx');
    const { tensors } = decodeSafetensors(readFileSync(files.reference));
    const known = [...tensors].filter(([name]) => !name.startsWith('init/norm.'));
    const reference = join(temporary, 'without-norm.safetensors');
    writeFileSync(reference, encodeSafetensors(known.map(([name, tensor]) => ({ name, ...tensor }))));
    const outcome = training.check({ ...files, reference });
    await expect(outcome).rejects.toThrow(/norm\.weight.*optimize=False/);
    await expect(outcome).rejects.toThrow(expect.objectContaining({ code: 'MODEL_UNSUPPORTED' }));
  });
});

test('a reference that differs in one value is noticed, by its tensor', async () => {
  const files = filesOf('mlp.script.onnx');
  const { tensors } = decodeSafetensors(readFileSync(files.reference));
  const changed = [...tensors].map(([name, { dtype, shape, data }]) => {
    const copy = new Uint8Array(data);
    if (name === 'grad/0.weight') {
      const values = new Float64Array(copy.buffer);
      values[3] = (values[3] ?? 0) + 1e-4;
    }
    return { name, dtype, shape, data: copy };
  });
  const reference = join(temporary, 'changed.safetensors');
  writeFileSync(reference, encodeSafetensors(changed));
  const { passed, groups } = await training.check({ ...files, reference });
  expect(passed).toBe(false);
  const wrong = groups.flatMap(({ group, tensors }) =>
    tensors.filter(({ passed }) => !passed).map(({ name }) => `${group}/${name}`),
  );
  expect(wrong).toEqual(['grad/0.weight']);
});
