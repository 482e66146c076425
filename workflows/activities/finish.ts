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
  await Promise.all(
    shares.map(({ runner, units, amount }) =>
      deps.credits.send({
        type: 'credit',
        payer: deps.coordinator,
        job,
        round,
        runner,
        units,
        amount,
        manifestHash,
      }),
    ),
  );
}
