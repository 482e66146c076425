import { brokenActRecord } from '#core/actLog.js';
import type { ActRecord } from '#core/acts.js';
import { acceptsSignature } from './accounts.js';
import type { Checks } from './checks.js';
import type { ChainView } from './contracts.js';
import { sha256 } from './sha256.js';
import { actDigest, actSigner } from './signature.js';

/**
 * That the log is one chain of hashes, and that every act in it was signed by whom it names.
 * @throws Unreachable when a contract account has to be asked, and the node does not answer
 */
export async function verifyActs(
  checks: Checks,
  chain: ChainView,
  records: readonly ActRecord[],
): Promise<void> {
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
    const name = `signature of record ${seq}`;
    const found = actSigner(chain.contracts, statement, signature);
    if (found === signer) {
      checks.same(group, name, 'signer named | recovered from the signature', signer, found);
      continue;
    }
    // No key's: then it is that of a contract, which says so itself, or a false one.
    const digest = actDigest(chain.contracts, statement);
    if (await acceptsSignature(chain.rpc, signer, digest, signature))
      checks.same(group, name, 'signer named | the contract there, asked (ERC-1271)', signer, signer);
    else checks.wrong(group, name, 'signer named | recovered from the signature', signer, found ?? 'nobody');
  }
}
