import { freemem } from 'node:os';
import { RoundtableError } from '#core/errors.js';
import type { TrainRequest } from './messages.js';

/** onnxruntime itself, its graph of a small model, and Node. */
const processBytes = 120 * 2 ** 20;

/** What a training may take. Checked before it starts, and between the runs. */
export class Limits {
  readonly #seconds: number;
  readonly #memory: number;
  readonly #owned: boolean;
  readonly #started = performance.now();

  constructor({ limits }: Pick<TrainRequest, 'limits'>) {
    this.#seconds = limits?.seconds ?? Infinity;
    this.#owned = limits?.memoryBytes !== undefined;
    this.#memory = limits?.memoryBytes ?? availableMemory() + process.memoryUsage.rss();
  }

  /**
   * @param bytes what the plan needs beside the process itself
   * @returns the bytes that the whole process is expected to hold
   * @throws TRAINING_MEMORY
   */
  plan(bytes: number): number {
    const planned = processBytes + bytes;
    if (planned > this.#memory) throw this.#tooMuch('would need', planned);
    return planned;
  }

  /** @throws TRAINING_TIME, TRAINING_MEMORY */
  check(step: number, steps: number): void {
    const seconds = (performance.now() - this.#started) / 1000;
    if (seconds > this.#seconds)
      throw new RoundtableError(
        'TRAINING_TIME',
        `The training was stopped after ${Math.round(seconds)} s in step ${step} of ${steps}; the owner of this machine allows ${this.#seconds} s.`,
        { details: { step, steps } },
      );
    const held = process.memoryUsage.rss();
    if (this.#owned && held > this.#memory) throw this.#tooMuch('holds', held);
  }

  #tooMuch(verb: string, bytes: number): RoundtableError {
    return new RoundtableError(
      'TRAINING_MEMORY',
      `The training ${verb} ${megabytes(bytes)} of memory; ${this.#owned ? 'the owner of this machine allows' : 'this machine has'} ${megabytes(this.#memory)}. Take a smaller batch, or accumulate it in parts.`,
      { details: { bytes, limit: this.#memory } },
    );
  }
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MB`;
}

/** Of the machine or, in a container, of that; Node 20.13 and newer know. */
function availableMemory(): number {
  return process.availableMemory?.() ?? freemem();
}
