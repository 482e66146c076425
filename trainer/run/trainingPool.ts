import type { TrainProgress, TrainRequest, TrainResult } from './messages.js';
import { TrainingProcess } from './trainingProcess.js';

/**
 * Training processes that the runners of one machine share: as many trainings at a time as there are processors for
 * them, the others wait in the order in which they came. A process that waits costs memory, and one too many slows
 * the others down.
 */
export class TrainingPool {
  readonly #all: readonly TrainingProcess[];
  readonly #idle: TrainingProcess[];
  readonly #waiting: ((process: TrainingProcess) => void)[] = [];

  /** @param size trainings at a time, at least 1; each process starts with its first one */
  constructor(size: number) {
    this.#all = Array.from({ length: size }, () => new TrainingProcess());
    // The one that was used last is the warm one, and it comes last.
    this.#idle = [...this.#all];
  }

  /** @throws as TrainingProcess.train */
  async train(
    request: TrainRequest,
    options: { onProgress?: (progress: TrainProgress) => void; signal?: AbortSignal } = {},
  ): Promise<TrainResult> {
    const process =
      this.#idle.pop() ?? (await new Promise<TrainingProcess>((resolve) => this.#waiting.push(resolve)));
    try {
      // A signal that fired meanwhile ends the request before it starts.
      return await process.train(request, options);
    } finally {
      const next = this.#waiting.shift();
      if (next) next(process);
      else this.#idle.push(process);
    }
  }

  /** Ends the processes. Requests that were not answered fail with TRAINING_ABORTED. */
  async close(): Promise<void> {
    await Promise.all(this.#all.map((process) => process.close()));
  }
}
