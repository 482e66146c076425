import { coordinator } from './proxies.workflow.js';
import type { Aggregate, AggregateInput } from './types.js';

/**
 * The sum of a round and the version that it leads to. The worker adds by itself what it can hold; larger updates are
 * cut by ranges of parameters, a function adds each range, and what is repeated after a crash is that range alone.
 */
export async function sumUpdates(input: AggregateInput): Promise<Aggregate> {
  const { prepared, opening } = input;
  if (!(prepared.shards > 1)) return coordinator.aggregate(input);
  const { job, spec } = prepared;
  const plans = await coordinator.planSum(input);
  const parts = await Promise.all(
    plans.map((plan) => coordinator.sumShard({ prepared: { job, spec }, round: opening.round, plan })),
  );
  return coordinator.joinSum({ ...input, parts });
}
