import type { TrainProgress, TrainRequest, TrainResult } from '#trainer/run/messages.js';

/**
 * What a runner trains with: a TrainingProcess, or for measuring everything around training something lighter.
 * It writes `request.out`; equal requests must give equal bytes.
 */
export interface Trainer {
  /** @throws TRAINING_CHILD_DIED when the process was killed; the signal's reason or TRAINING_ABORTED when aborted */
  train(
    request: TrainRequest,
    hooks: { signal: AbortSignal; onProgress(progress: TrainProgress): void },
  ): Promise<TrainResult>;
}
