import { readFile, writeFile } from 'node:fs/promises';
import { bytesOf } from '#core/bytes.js';
import { decodeSafetensors, encodeSafetensors } from '#core/safetensors.js';
import type { Trainer } from '#gpu-runner/trainer.js';
import type { TrainRequest } from '#trainer/run/messages.js';

/** Adds to each weight what the seed says: as repeatable as training, without its time. Faults can be put in. */
export class LightTrainer implements Trainer {
  readonly requests: TrainRequest[] = [];
  /** Runs before an answer; what it throws fails the training. */
  before: ((attempt: number, signal: AbortSignal) => Promise<void> | void) | null = null;
  /** Changes what is written for weight `index` of all. */
  change: (value: number, index: number) => number = (value) => value;

  async train(request: TrainRequest, hooks: Parameters<Trainer['train']>[1]): ReturnType<Trainer['train']> {
    this.requests.push(request);
    await this.before?.(this.requests.length, hooks.signal);
    hooks.signal.throwIfAborted();
    const { tensors } = decodeSafetensors(await readFile(request.weights));
    let index = 0;
    const trained = [...tensors].map(([name, { shape, data }]) => {
      const values = new Float32Array(new Uint8Array(data).buffer).map((value) => {
        const moved = value + ((request.seed[index % 32] ?? 0) - 128) / 4096;
        return this.change(moved, index++);
      });
      return { name, dtype: 'F32' as const, shape, data: bytesOf(values) };
    });
    hooks.onProgress({ step: 10, steps: 10, samples: 40, loss: 0.5, samplesPerSecond: 40_000 });
    await writeFile(request.out, encodeSafetensors(trained));
    const runtime = { onnxruntime: 'none', provider: 'cpu', cpu: 'any', threads: 1 };
    const memory = { planned: 1, peak: 1 };
    return { samples: 40, steps: 10, loss: 0.5, seconds: 0.001, memory, runtime };
  }
}
