import type { LossName } from '../loss.js';
import type { Optimizer, Schedule } from '../optimizers.js';
import type { TrainingOptions } from './plan.js';

/** How a person asks for a training: of a request, or of a job. */
export interface TrainingWishes {
  readonly loss: LossName;
  readonly optimizer: Optimizer;
  /** Samples per step; the last step of an epoch takes what is left. */
  readonly batch: number;
  /** Parts that a step is computed in, one after the other, so that it needs less memory; they divide the batch. */
  readonly accumulate?: number;
  /** Softmax losses: so much of the target goes to all classes alike. */
  readonly labelSmoothing?: number;
  /** Softmax losses: labels of this value count for nothing. */
  readonly ignoredLabel?: number;
  /** Largest norm of all gradients together. */
  readonly clipNorm?: number;
  /** Factor of the learning rate over the steps; constant by default. */
  readonly schedule?: Schedule;
  /** Weights that weight decay leaves alone: names, in which `*` stands for any characters. */
  readonly undecayed?: readonly string[];
  /** Shares of values that become zero, by patterns of nodes; the masks derive from the seed. */
  readonly dropout?: Readonly<Record<string, number>>;
  /** FedProx's mu. */
  readonly prox?: number;
}

/**
 * What the compiler is told for steps of `size` samples.
 * @param rest what the data and the machine add
 */
export function trainingOptions(
  wishes: TrainingWishes,
  size: number,
  rest: Pick<TrainingOptions, 'inputs' | 'classAxis' | 'corrected' | 'batchNorm'>,
): TrainingOptions {
  const { loss, optimizer, batch, accumulate, prox, labelSmoothing, ignoredLabel } = wishes;
  const { clipNorm, schedule, undecayed, dropout } = wishes;
  const parts = partsOf(size, batch, accumulate);
  return {
    loss,
    optimizer,
    batch: size,
    ...rest,
    ...(prox ? { prox } : {}),
    ...(labelSmoothing ? { labelSmoothing } : {}),
    ...(ignoredLabel === undefined ? {} : { ignoredLabel }),
    ...(clipNorm === undefined ? {} : { clipNorm }),
    ...(schedule ? { scheduled: true } : {}),
    ...(undecayed ? { undecayed } : {}),
    ...(dropout ? { dropout } : {}),
    ...(parts > 1 ? { parts } : {}),
  };
}

/**
 * Parts of equal size that a step of `size` samples is computed in, each at most as large as those of a whole batch. The
 * last batch of an epoch may need more of them than others: they divide it.
 */
export function partsOf(size: number, batch: number, accumulate = 1): number {
  const most = batch / accumulate;
  for (let parts = Math.ceil(size / most); parts < size; parts++) if (size % parts === 0) return parts;
  return size <= most ? 1 : size;
}
