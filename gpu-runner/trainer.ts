import type { TrainProgress, TrainRequest, TrainResult } from '#trainer/run/messages.js';

/**
 * What a runner trains with: a TrainingProcess, or for measuring everything around training something lighter.
 * It writes `request.out`; equal requests must give equal bytes.
 */
export interface Trainer {
  /**
   * @throws TRAINING_CHILD_DIED when the process was killed; the signal's reason or TRAINING_ABORTED when aborted;
   * TRAINING_LIMIT after `seconds`, or when it takes too much memory
   */
  train(
    request: TrainRequest,
    hooks: { signal: AbortSignal; seconds: number; onProgress(progress: TrainProgress): void },
  ): Promise<TrainResult>;
}
