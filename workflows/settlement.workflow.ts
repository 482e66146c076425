import { sleep } from '@temporalio/workflow';
import { chain, coordinator } from './proxies.workflow.js';
import type { SettlementInput } from './types.js';

/**
 * One epoch of one payer: recomputed from the manifests of final rounds, archived, published, effective after
 * its window. Its id is the epoch's, so that starting it twice is harmless.
 */
export async function settlement({ payer, epoch }: SettlementInput): Promise<void> {
  let plan = await coordinator.planEpoch({ payer, epoch });
  while (plan === 'unreleased') {
    await chain(payer).releaseBudgets({ payer });
    plan = await coordinator.planEpoch({ payer, epoch });
  }
  if (!plan) return;
  const transaction = await chain(payer).publishEpoch({ plan });
  await coordinator.finishEpoch({ plan, transaction, effective: false });
  await sleep(plan.windowSeconds * 1000);
  await coordinator.finishEpoch({ plan, transaction, effective: true });
}
