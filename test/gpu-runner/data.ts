import { writeFile } from 'node:fs/promises';
import { bytesOf } from '#core/bytes.js';
import { encodeSafetensors } from '#core/safetensors.js';

/** A data file of two separable classes: samples of four features, the label in which half the large ones lie. */
export async function writeData(
  path: string,
  samples: number,
  options: {
    labels?: ArrayLike<number>;
    dtype?: 'I64' | 'I32' | 'U8';
    metadata?: Record<string, string>;
    offset?: number;
  } = {},
): Promise<void> {
  const labels = Array.from({ length: samples }, (_, i) => options.labels?.[i] ?? i % 2);
  const x = new Float32Array(samples * 4);
  labels.forEach((label, i) => {
    for (let j = 0; j < 4; j++)
      x[4 * i + j] = (Math.floor(j / 2) === label ? 1 : 0) + Math.sin((options.offset ?? 0) + 7 * i + j) / 4;
  });
  const dtype = options.dtype ?? 'I64';
  const y =
    dtype === 'I64'
      ? new BigInt64Array(labels.map(BigInt))
      : dtype === 'I32'
        ? new Int32Array(labels)
        : new Uint8Array(labels);
  const file = encodeSafetensors(
    [
      { name: 'x', dtype: 'F32', shape: [samples, 4], data: bytesOf(x) },
      { name: 'y', dtype, shape: [samples], data: bytesOf(y) },
    ],
    options.metadata ?? {},
  );
  await writeFile(path, file);
}
