import { canonicalBytes } from '#core/canonicalJson.js';
import { toHex, type Hex } from '#core/hex.js';
import type { EpochView } from '#core/views.js';
import { findEpoch } from '../settlement.js';
import type { Record } from './record.js';

export interface RestoredEpochs {
  rows: EpochView[];
  /** Which epoch pays a round, by paidKey. */
  paid: ReadonlyMap<string, number>;
}

export const paidKey = ({ job, round }: { job: Hex; round: number }): string => `${job}/${round}`;

/** The epochs that the chain has of the member, with their manifests. @throws Wrong when one is not archived */
export async function readEpochs(record: Record): Promise<RestoredEpochs> {
  const { chain, hash } = record.sources;
  const published = (await chain.epochs(record.member)).sort((a, b) => a.epoch - b.epoch);
  const now = (await chain.provider.getBlock('latest'))?.timestamp ?? 0;
  const rows: EpochView[] = [];
  const paid = new Map<string, number>();
  for (const epoch of published) {
    const { id, manifest } = await findEpoch(record.sources, epoch);
    for (const round of manifest.hashed.rounds) paid.set(paidKey(round), epoch.epoch);
    const effective = epoch.effectiveAt <= Math.max(now, Date.now() / 1_000);
    rows.push({
      seq: effective ? 3 : 2,
      updatedAt: await record.timeOf(epoch.block),
      payer: epoch.payer,
      epoch: epoch.epoch,
      state: effective ? 'effective' : 'published',
      root: epoch.root,
      total: String(epoch.total),
      leaves: epoch.leaves,
      manifestHash: epoch.manifestHash,
      archive: id,
      file: toHex(hash(canonicalBytes(manifest))),
      transaction: await record.transaction('publish', epoch),
    });
  }
  return { rows, paid };
}
