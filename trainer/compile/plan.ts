import type { LossName } from '../loss.js';
import type { Shape } from '../onnx/tensor.js';
import type { Optimizer } from '../optimizers.js';

/** Type of the resident data: uint8 for pixels, divided by 255 in the graph; others are taken as they are. */
export type InputType = 'uint8' | 'float32' | 'int32' | 'int64';

/** What is minimised over which data. */
export interface LossPlan {
  readonly loss: LossName;
  readonly labelSmoothing?: number;
  readonly ignoredLabel?: number;
  /** Where the output's classes stand; last by default (modelData.ts, classAxis). */
  readonly classAxis?: number;
  /** Samples per step. */
  readonly batch: number;
  /** One for each input of the model. */
  readonly inputs: readonly InputType[];
  /** Norms take the statistics of each batch, and their running ones pass from step to step (batchNorm.ts). */
  readonly batchNorm?: 'local';
  /** Channels in a block of this machine's convolution kernels; without it no convolution is blocked (blocked.ts). */
  readonly block?: number;
}

export interface TrainingOptions extends LossPlan {
  readonly optimizer: Optimizer;
  /** FedProx: strength of the pull back to the weights the training started from (Li et al. 2020). */
  readonly prox?: number;
  /** SCAFFOLD: a correction is added to each gradient (Karimireddy et al. 2020). */
  readonly corrected?: boolean;
  /** Largest norm of all gradients together. */
  readonly clipNorm?: number;
  /** The learning rate changes from step to step, and is fed. */
  readonly scheduled?: boolean;
  /** Weights that weight decay leaves alone: usually biases and norms. Patterns (patterns.ts). */
  readonly undecayed?: readonly string[];
  /** One step a run, for devices on which a loop would run elsewhere: the graph is a step, not a Scan over steps. */
  readonly single?: true;
  /** Parts of equal size that a step's samples are computed in, one after the other, to need less memory. */
  readonly parts?: number;
  /** Shares of values set to zero, by patterns of nodes (dropout.ts). */
  readonly dropout?: Readonly<Record<string, number>>;
}

/** What a graph asks of its data, and what it can tell apart. */
export interface PlanShape {
  /** ONNX file to run. */
  readonly model: Uint8Array<ArrayBuffer>;
  /** Shape of one sample of each input. */
  readonly samples: readonly Shape[];
  /** Shape of one sample's labels: [] for a class, and of numbers as the output for losses that compare them. */
  readonly labels: Shape;
  /** Bound of the labels where they are class ids. */
  readonly classes: number;
}

/** A tensor that passes from step to step. */
export interface Passed {
  readonly name: string;
  readonly shape: Shape;
  readonly before: string;
  readonly after: string;
}

/**
 * A graph that does any number of training steps in one run, or (`single`) one. Feeds: `data` [N, ...sample] of each input, `labels` int32
 * or float32 [N, ...labels], `order` int32 [steps, batch] (which samples each step takes), `before` of each weight,
 * slot and statistic, the `anchor` and `correction` of a weight if it has one, `rates` [steps, n] and `seeds` int64 [steps] if there are
 * any. Results: `losses` float32 [steps] (before the step) and `after` of each weight, slot and statistic.
 */
export interface TrainingPlan extends PlanShape {
  /** A run is one step, of the samples that it is fed. */
  readonly single: boolean;
  readonly weights: readonly (Passed & {
    /** With FedProx: the weight before the first step of the training, which later runs no longer start from. */
    readonly anchor?: string;
    /** With SCAFFOLD: the server's control variate less the runner's. */
    readonly correction?: string;
  })[];
  /** What the optimiser keeps; zeros before the first step. */
  readonly slots: readonly Passed[];
  /** Running statistics of local norms; before the first step those of the graph, or of whoever trains. */
  readonly statistics: readonly Passed[];
  readonly names: {
    readonly data: readonly string[];
    readonly labels: string;
    readonly order: string;
    readonly losses: string;
    /** Numbers of each step (UpdateRule.rates). */
    readonly rates?: string;
    /** One for each step, from which the masks of its dropout follow. */
    readonly seeds?: string;
  };
  /** Estimate of the most memory a run takes beside its data, in bytes (memory.ts). */
  readonly peakBytes: number;
}

/** How a version is judged: without smoothing, which only helps to learn. */
export type EvaluationOptions = Pick<
  LossPlan,
  'loss' | 'ignoredLabel' | 'classAxis' | 'inputs' | 'batchNorm'
>;

/**
 * A graph that judges a batch of any size. Feeds: `data` [n, ...sample], `labels` [n, ...labels] and each weight under its
 * own name. Results, each float32 [n]: the sum of the `losses` of a sample's labels, how many of them were `right`, and,
 * where labels may be ignored, how many `count`; otherwise all of them do.
 */
export interface EvaluationPlan extends PlanShape {
  readonly weights: readonly { readonly name: string; readonly shape: Shape }[];
  /** Labels of a sample. */
  readonly perSample: number;
  readonly names: {
    readonly data: readonly string[];
    readonly labels: string;
    readonly losses: string;
    readonly right?: string;
    readonly counts?: string;
  };
}

/**
 * A graph that computes loss, output and gradients of one batch of a fixed size. Feeds: `data`, `labels` and each weight
 * under its own name. Results: `loss`, `output` and, by weight, `gradients` (absent where nothing flows).
 */
export interface GradientPlan extends PlanShape {
  readonly weights: readonly { readonly name: string; readonly shape: Shape }[];
  readonly gradients: ReadonlyMap<string, string>;
  readonly names: {
    readonly data: readonly string[];
    readonly labels: string;
    readonly loss: string;
    readonly output: string;
  };
}
