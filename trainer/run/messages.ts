import type { CheckRequest, CheckResult } from '../check/check.js';
import type { ErrorCode } from '#core/errorCodes.js';
import type { LossName } from '../loss.js';
import type { TrainingWishes } from '../compile/options.js';
import type { Energy } from './energy.js';

/** All files are given by path, so that tensors never pass through the channel between the processes. */
export interface TrainRequest extends TrainingWishes {
  /** graph.onnx: a graph without its weights, as readModel makes it. */
  readonly graph: string;
  /** safetensors, float32, one tensor per weight of the graph. */
  readonly weights: string;
  /** safetensors: x float32 or uint8 (divided by 255) [N, ...], y uint8, int32 or int64 [N]. */
  readonly data: string;
  /** Where the trained weights go, like `weights`; written beside it and renamed when complete. */
  readonly out: string;
  readonly epochs: number;
  /** 32 bytes; the order of the samples derives from it (permutation.ts), and the masks of dropout. */
  readonly seed: Uint8Array;
  /** `bits`, the default, repeats; `fast` takes the fastest device, or all cores. */
  readonly determinism?: 'bits' | 'fast';
  /** Norms take the statistics of each batch, and keep running ones in these files; frozen where this is absent. */
  readonly statistics?: StatisticsFiles;
  /** SCAFFOLD's control variates, for plain SGD. */
  readonly control?: ControlFiles;
  /** At least 1: pauses, so that training takes that many times as long. */
  readonly throttle?: number;
  /** Where to keep, every few seconds, what a training that was killed goes on from; removed when it is complete. */
  readonly checkpoint?: string;
  /** What the owner of the machine allows. */
  readonly limits?: { readonly memoryBytes?: number; readonly seconds?: number };
}

/** Files as of weights: the running statistics to start from (those of the graph where it is absent), and those after. */
export interface StatisticsFiles {
  readonly before?: string;
  readonly out: string;
}

/** Weights files. Of Karimireddy et al. 2020: `server` is c, `own` is c_i, and `out` the next c_i (option II). */
export interface ControlFiles {
  readonly server: string;
  readonly own: string;
  readonly out: string;
}

export interface TrainProgress {
  /** Steps done, of `steps`. */
  readonly step: number;
  readonly steps: number;
  /** Samples seen, counted once per epoch. */
  readonly samples: number;
  /** Mean over the steps since the last report. */
  readonly loss: number;
  /** Since the training began, or went on; pauses included. */
  readonly samplesPerSecond: number;
  /** Since the training began, or went on; absent where nothing measures it (energy.ts). */
  readonly joules?: number;
}

export interface TrainResult {
  /** Samples in the data set. */
  readonly samples: number;
  readonly steps: number;
  /** Mean over the samples of the last epoch, each before the step that used it. */
  readonly loss: number;
  /** Wall clock, from the request to the written file, pauses included. */
  readonly seconds: number;
  /** Bytes: what was expected beforehand, and the most that the process has held. */
  readonly memory: { readonly planned: number; readonly peak: number };
  readonly energy?: Energy;
  /** Training repeats to the bit only where all of this is the same. */
  readonly runtime: Runtime;
}

export interface Runtime {
  readonly onnxruntime: string;
  readonly provider: string;
  /** avx512, avx2 or sse; elsewhere the architecture. */
  readonly cpu: string;
  readonly threads: number;
}

export interface EvaluateRequest {
  readonly graph: string;
  readonly weights: string;
  readonly data: string;
  /** Samples a run. */
  readonly batch: number;
  /** What the loss of the result is; softmax cross-entropy by default. */
  readonly loss?: LossName;
  readonly ignoredLabel?: number;
  /** Norms take the statistics of each batch: where runners keep their own, the graph's fit nobody. */
  readonly batchNorm?: 'local';
}

export interface EvaluateResult {
  readonly samples: number;
  /**
   * Share of what was told rightly: samples, or positions where each has a label; of bce_with_logits the numbers on the
   * right side of one half. Null for mse.
   */
  readonly accuracy: number | null;
  /** How many those are; null for mse. */
  readonly correct: number | null;
  /** Mean over all that counts, without label smoothing. */
  readonly loss: number;
}

export type ChildRequest =
  | { readonly kind: 'train'; readonly request: TrainRequest }
  | { readonly kind: 'evaluate'; readonly request: EvaluateRequest }
  | { readonly kind: 'check'; readonly request: CheckRequest };

export type ChildResult = TrainResult | EvaluateResult | CheckResult;

export type ChildAnswer =
  | { readonly kind: 'progress'; readonly progress: TrainProgress }
  | { readonly kind: 'done'; readonly result: ChildResult }
  | {
      readonly kind: 'failed';
      readonly code: ErrorCode;
      readonly message: string;
      readonly details: Record<string, unknown>;
    };
