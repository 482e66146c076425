import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { bytesOf } from '#core/bytes.js';
import { decodeSafetensors, encodeSafetensors } from '#core/safetensors.js';
import { writeWhole } from './files.js';
import type { Runtime, TrainRequest } from './messages.js';

/** All that a training remembers from step to step. Order of samples, masks and rates follow from seed and step. */
export interface Progress {
  /** Steps done. */
  readonly step: number;
  /** Sum of the losses of this epoch's samples so far. */
  readonly epochLoss: number;
  /** Loss of the first step. */
  readonly firstLoss: number;
  /** Weights and what the optimiser keeps, by name. */
  readonly tensors: ReadonlyMap<string, { readonly dims: readonly number[]; readonly data: Float32Array }>;
}

/** Hash of everything that decides the bits of a training: a checkpoint of another one is not gone on from. */
export function identityOf(request: TrainRequest, files: readonly Uint8Array[], runtime: Runtime): string {
  const { graph: _g, weights: _w, data: _d, out: _o, checkpoint: _c, throttle: _t, ...rest } = request;
  const { limits: _l, control: _f, statistics, seed, ...options } = rest;
  const hash = createHash('sha256').update(
    JSON.stringify([options, statistics !== undefined, [...seed], runtime]),
  );
  for (const file of files) hash.update(createHash('sha256').update(file).digest());
  return hash.digest('hex');
}

/** @throws DISK_FULL */
export async function writeCheckpoint(path: string, identity: string, progress: Progress): Promise<void> {
  const tensors = [...progress.tensors].map(([name, { dims, data }]) => ({
    name,
    dtype: 'F32' as const,
    shape: [...dims],
    data: bytesOf(data),
  }));
  const { step, epochLoss, firstLoss } = progress;
  const position = JSON.stringify({ step, epochLoss, firstLoss });
  await writeWhole(path, encodeSafetensors(tensors, { identity, position }));
}

/** Undefined where there is none, or one of another training: then it starts at the beginning. */
export async function readCheckpoint(path: string, identity: string): Promise<Progress | undefined> {
  try {
    const { tensors, metadata } = decodeSafetensors(await readFile(path));
    if (metadata['identity'] !== identity) return undefined;
    const position = JSON.parse(metadata['position'] ?? '') as Omit<Progress, 'tensors'>;
    return {
      ...position,
      tensors: new Map(
        [...tensors].map(([name, { shape, data }]) => [
          name,
          { dims: shape, data: new Float32Array(new Uint8Array(data).buffer) },
        ]),
      ),
    };
  } catch {
    return undefined;
  }
}

export async function removeCheckpoint(path: string): Promise<void> {
  await rm(path, { force: true });
}
