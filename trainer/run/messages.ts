import type { CheckRequest, CheckResult } from '../check/check.js';
import type { ErrorCode } from '#core/errorCodes.js';
import type { LossName } from '../loss.js';
import type { Optimizer, Schedule } from '../optimizers.js';

/** All files are given by path, so that tensors never pass through the channel between the processes. */
export interface TrainRequest {
  /** graph.onnx: a graph without its weights, as readModel makes it. */
  readonly graph: string;
  /** safetensors, float32, one tensor per weight of the graph. */
  readonly weights: string;
  /** safetensors: x float32 or uint8 (divided by 255) [N, ...], y uint8, int32 or int64 [N]. */
  readonly data: string;
  /** Where the trained weights go, like `weights`; written beside it and renamed when complete. */
  readonly out: string;
  readonly loss: LossName;
  readonly optimizer: Optimizer;
  readonly epochs: number;
  /** Samples per step; the last step of an epoch takes what is left. */
  readonly batch: number;
  /** 32 bytes; the order of the samples derives from it (permutation.ts). */
  readonly seed: Uint8Array;
  /** Softmax losses: so much of the target goes to all classes alike. */
  readonly labelSmoothing?: number;
  /** Largest norm of all gradients together. */
  readonly clipNorm?: number;
  /** Factor of the learning rate over the steps; constant by default. */
  readonly schedule?: Schedule;
  /** Weights that weight decay leaves alone: names, in which `*` stands for any characters. */
  readonly undecayed?: readonly string[];
  /** Parts that a step is computed in, one after the other, so that it needs less memory; they divide the batch. */
  readonly accumulate?: number;
  /** Shares of values that become zero, by patterns of nodes; the masks derive from the seed. */
  readonly dropout?: Readonly<Record<string, number>>;
  /** FedProx's mu. */
  readonly prox?: number;
  /** SCAFFOLD's control variates, for plain SGD. */
  readonly control?: ControlFiles;
  /** At least 1: pauses, so that training takes that many times as long. */
  readonly throttle?: number;
  /** Where to keep, every few seconds, what a training that was killed goes on from; removed when it is complete. */
  readonly checkpoint?: string;
  /** What the owner of the machine allows. */
  readonly limits?: { readonly memoryBytes?: number; readonly seconds?: number };
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
  readonly batch: number;
}

export interface EvaluateResult {
  readonly samples: number;
  readonly correct: number;
  /** correct / samples */
  readonly accuracy: number;
  /** Mean softmax cross-entropy. */
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
