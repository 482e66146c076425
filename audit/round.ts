import { roundManifest, type RoundManifest } from '#core/manifest.js';
import type { Hex } from '#core/hex.js';
import { apportion, roundBudget } from '#core/rewards.js';
import type { ChainClosing, ChainRound } from '#services/chain.js';
import { same, type Checklist } from './checklist.js';
import { checkManifest, sameJson } from './documents.js';
import { checkDomain, type Genesis } from './genesis.js';
import { checkOpening, checkParticipants, checkSignatures, checkTree } from './headers.js';
import { checkSeals } from './seals.js';
import type { AuditChain, AuditSources } from './sources.js';
import { checkStep, checkVelocity } from './step.js';
import { checkSum } from './sum.js';
import { checkVersion, type OpenedModel, type VersionRecord } from './version.js';

/** What the next round builds on. */
export interface RoundState {
  record: VersionRecord;
  /** Null when the files are sealed, or were let go. */
  model: OpenedModel;
  manifestHash: Hex;
}

export interface AuditedRound extends RoundState {
  /** The sum and the step were recomputed from the updates themselves. */
  recomputed: boolean;
  shares: RoundManifest['hashed']['rewards']['shares'];
}

/** One closed round, from what the chain says of it and the version before. */
export async function checkRound(
  list: Checklist,
  sources: AuditSources<AuditChain>,
  genesis: Pick<Genesis, 'manifest' | 'dimension'>,
  base: RoundState,
  onChain: ChainRound & { closing: ChainClosing },
): Promise<AuditedRound> {
  const { round, closing, coordinator } = onChain;
  const subject = `round ${round}`;
  const { hashed } = await checkManifest(list, sources, {
    subject,
    schema: roundManifest,
    archiveId: closing.archiveId,
    hash: closing.manifestHash,
  });
  const { version } = base.record;
  await list.check(subject, 'identity', 'manifest against the chain and the round before', () => {
    same('the job', hashed.opening.job, genesis.manifest.job);
    same('the round', hashed.opening.round, round);
    same('the coordinator', hashed.coordinator, coordinator);
    checkDomain(sources, hashed.domain);
    sameJson(sources, 'the spec', hashed.spec, genesis.manifest.spec);
    same('the spec hash', hashed.opening.specHash, genesis.manifest.specHash);
    same('the manifest before', hashed.previousManifest, base.manifestHash);
    sameJson(sources, 'the base version', hashed.base, version);
    same('the base of the opening', hashed.opening.baseVersion, version.versionId);
    same('the version', hashed.version.versionId, closing.versionId);
    same('the root of its parameters', hashed.version.paramsRoot, closing.paramsRoot);
    same('its graph', hashed.version.graph, version.graph);
    same('its steps', hashed.version.stepsHash, version.stepsHash);
  });
  const model = await checkVersion(list, sources, subject, hashed);
  await checkOpening(list, sources, subject, hashed.opening, onChain.openHash);
  await checkParticipants(list, subject, hashed, genesis.dimension);
  await checkSignatures(list, subject, hashed);
  await checkSeals(list, sources, subject, hashed);
  await checkTree(list, sources, subject, hashed, closing.rootHeader);
  const models = { base: base.model, next: model };
  await checkVelocity(list, subject, hashed, models);
  const sum = await checkSum(list, sources, subject, hashed, models);
  const recomputed = sum !== null && (await checkStep(list, subject, hashed, models, sum));
  await checkShares(list, subject, hashed, round);
  return {
    record: hashed,
    model,
    manifestHash: closing.manifestHash,
    recomputed,
    shares: hashed.rewards.shares,
  };
}

/** Rewards to the last unit: the round's budget over the weights (PROTOCOL section 10). */
async function checkShares(
  list: Checklist,
  subject: string,
  { rewards, headers, spec }: RoundManifest['hashed'],
  round: number,
): Promise<void> {
  await list.check(subject, 'rewards', 'budget apportioned by weight', (say) => {
    const budget = roundBudget(BigInt(spec.rewards.budget), spec.rounds, round);
    same('the budget', BigInt(rewards.budget), budget);
    same('the number of shares', rewards.shares.length, headers.length);
    const units = headers.map(({ weight }) => BigInt(weight));
    const amounts = apportion(budget, units);
    headers.forEach(({ runner }, i) => {
      const share = rewards.shares[i];
      same(`the runner of share ${i}`, share?.runner, runner, { runner });
      same(`the units of ${runner}`, share?.units, String(units[i]), { runner });
      same(`the amount of ${runner}`, share?.amount, String(amounts[i]), { runner });
    });
    say(`${budget} units`);
  });
}
