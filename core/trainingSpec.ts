import { z } from 'zod';

const rate = z.number().positive().max(100);
const decay = z.number().min(0).max(100);
/** Names of weights or nodes, in which `*` stands for any characters. */
const patterns = z.array(z.string().min(1).max(200)).min(1).max(1_000);

const optimizer = z.discriminatedUnion('name', [
  z.strictObject({
    name: z.literal('sgd'),
    lr: rate,
    momentum: z.number().min(0).lt(1).exactOptional(),
    nesterov: z.boolean().exactOptional(),
    weightDecay: decay.exactOptional(),
  }),
  z.strictObject({
    name: z.enum(['adam', 'adamw']),
    lr: rate,
    betas: z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)]).exactOptional(),
    eps: z.number().positive().max(1).exactOptional(),
    weightDecay: decay.exactOptional(),
  }),
]);

/**
 * What each runner does in a round. An optimiser keeps nothing from round to round: its averages, and the schedule, begin
 * anew in each.
 */
export const trainingSpec = z.strictObject({
  loss: z
    .enum(['softmax_cross_entropy', 'bce_with_logits', 'mse', 'next_token'])
    .default('softmax_cross_entropy')
    .describe('Class ids; numbers of 0 and 1 against logits; numbers; or the tokens that the model reads.'),
  labelSmoothing: z
    .number()
    .min(0)
    .lt(1)
    .exactOptional()
    .describe('So much of the target goes to all classes alike.'),
  ignoredLabel: z
    .number()
    .int()
    .min(-(2 ** 31))
    .max(2 ** 31 - 1)
    .exactOptional()
    .describe('Labels of this value count for nothing, such as -100.'),
  optimizer: optimizer.default({ name: 'sgd', lr: 0.1 }),
  schedule: z
    .strictObject({
      name: z.enum(['constant', 'cosine']),
      warmup: z.number().int().min(0).max(1_000_000).exactOptional(),
    })
    .exactOptional()
    .describe("The learning rate over a round's steps: rising over `warmup` steps, then as it is or to 0."),
  clipNorm: z
    .number()
    .positive()
    .max(1e9)
    .exactOptional()
    .describe('Largest norm of the gradients of a step.'),
  undecayed: patterns.exactOptional().describe('Weights that weight decay leaves alone, such as *.bias.'),
  epochs: z.number().int().min(1).max(1_000).default(1).describe('Local epochs a round (E).'),
  batch: z.number().int().min(1).max(65_536).default(10).describe('Local batch size (B).'),
  accumulate: z
    .number()
    .int()
    .min(1)
    .max(65_536)
    .exactOptional()
    .describe('Parts that a step is computed in, for less memory; they divide the batch.'),
  dropout: z
    .record(z.string().min(1).max(200), z.number().min(0).lt(1))
    .exactOptional()
    .describe('Shares of values set to zero, by patterns of nodes or of the weights they read.'),
  batchNorm: z
    .enum(['frozen', 'local'])
    .exactOptional()
    .describe(
      'Running statistics of BatchNorm: as the model has them, or of each runner, updated and kept there.',
    ),
  trainable: patterns.exactOptional().describe('What is trained, such as head.*; everything by default.'),
  lora: z
    .strictObject({
      match: patterns.describe('Matrices that get adapters, and stay as they are.'),
      rank: z.number().int().min(1).max(4_096),
      alpha: z.number().positive().max(1e6).exactOptional(),
      freezeA: z
        .boolean()
        .exactOptional()
        .describe('Train only B: then the mean of the updates is the update of the mean.'),
    })
    .exactOptional()
    .describe('Low-rank adapters instead of weights; only they travel.'),
  determinism: z
    .enum(['bits', 'fast'])
    .exactOptional()
    .describe(
      '`bits`, the default: on the CPU, repeatable. `fast`: on the fastest device of each runner, or all its cores.',
    ),
  prox: z.number().min(0).max(100).default(0).describe('FedProx mu; 0 is plain FedAvg on the runner.'),
});
