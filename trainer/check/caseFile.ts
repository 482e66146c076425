import { z } from 'zod';
import type { LossName } from '../loss.js';
import type { Optimizer } from '../optimizers.js';

const rates = z.object({
  lr: z.number(),
  momentum: z.number().optional(),
  nesterov: z.boolean().optional(),
  weight_decay: z.number().optional(),
  betas: z.tuple([z.number(), z.number()]).optional(),
  eps: z.number().optional(),
});

/** What is trained, how, and how exact the result must be. */
export const caseFile = z.object({
  loss: z.enum(['softmax_cross_entropy_mean', 'mse_mean']),
  /** `local`: norms take the statistics of each batch, as in model.train(). */
  batch_norm: z.enum(['frozen', 'local']).default('frozen'),
  trainable: z.array(z.string()).min(1),
  optimizers: z.record(z.string(), rates).default({}),
  steps: z.number().int().min(1).default(3),
  tolerance: z
    .object({
      float32_rtol: z
        .object({
          output: z.number().default(1e-5),
          loss: z.number().default(1e-5),
          grad: z.number().default(1e-5),
          sgd: z.number().default(2e-5),
          statistics: z.number().default(1e-5),
        })
        .catchall(z.number())
        .prefault({}),
    })
    .prefault({}),
});
export type Case = z.output<typeof caseFile>;

export const lossNames: Record<Case['loss'], LossName> = {
  softmax_cross_entropy_mean: 'softmax_cross_entropy',
  mse_mean: 'mse',
};

export function optimizerOf(rule: string, given: z.output<typeof rates>): Optimizer {
  const decay = given.weight_decay === undefined ? {} : { weightDecay: given.weight_decay };
  if (rule.startsWith('adam'))
    return {
      name: rule === 'adam' ? 'adam' : 'adamw',
      lr: given.lr,
      ...(given.betas ? { betas: given.betas } : {}),
      ...(given.eps === undefined ? {} : { eps: given.eps }),
      ...decay,
    };
  return {
    name: 'sgd',
    lr: given.lr,
    ...(given.momentum === undefined ? {} : { momentum: given.momentum }),
    ...(given.nesterov === undefined ? {} : { nesterov: given.nesterov }),
    ...decay,
  };
}
