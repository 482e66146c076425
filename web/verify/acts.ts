import { brokenActRecord } from '#core/actLog.js';
import type { ActRecord } from '#core/acts.js';
import type { Checks } from './checks.js';
import type { Contracts } from './contracts.js';
import { sha256 } from './sha256.js';
import { actSigner } from './signature.js';

/** That the log is one chain of hashes, and that every act in it was signed by whom it names. */
export function verifyActs(checks: Checks, contracts: Contracts, records: readonly ActRecord[]): void {
  const broken = brokenActRecord(sha256, records);
  const how = 'recomputed | the log';
  const group = 'Log of acts';
  if (broken === null)
    checks.same(group, 'chain of hashes', how, `${records.length} records`, `${records.length} records`);
  else
    checks.wrong(group, 'chain of hashes', how, 'follows from the one before', `record ${broken} does not`);
  for (const { seq, entry } of records) {
    if (entry.kind !== 'admitted') continue;
    const { statement, signer, signature } = entry;
    const found = actSigner(contracts, statement, signature) ?? 'nobody';
    checks.same(
      group,
      `signature of record ${seq}`,
      'signer named | recovered from the signature',
      signer,
      found,
    );
  }
}
