import { creditsOf } from '#core/messages.js';
import type { FinishRoundInput } from '../types.js';
import type { Dependencies } from './dependencies.js';

/** After a round is anchored: its version enters the lineage, its runners are credited. */
export async function finishRound(deps: Dependencies, input: FinishRoundInput): Promise<void> {
  const { prepared, round, base, version, archive, accuracy, shares } = input;
  await deps.table.putVersion({
    seq: round + 1,
    updatedAt: new Date().toISOString(),
    lineage: prepared.spec.name,
    number: prepared.baseNumber + round,
    model: version,
    parent: base.versionId,
    job: prepared.job,
    round,
    accuracy,
    archive,
  });
  const { job } = prepared;
  const { manifestHash } = archive;
  const credits = creditsOf({ payer: deps.coordinator, job, round, manifestHash }, shares);
  await deps.credits.sendAll(credits);
}
