import type { AuditChain } from '#audit/index.js';
import { RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import { resolveId } from '../command.js';

/**
 * The version whose id begins as typed, or for `latest` the newest that stands. The chain is asked, no stack.
 * @throws NOT_FOUND, CONFLICT
 */
export async function versionNamed(chain: AuditChain, typed: string): Promise<Hex> {
  if (/^0x[0-9a-f]{64}$/.test(typed)) return typed as Hex;
  if (typed === 'latest') return newest(chain);
  const versions = new Set((await chain.closings()).map(({ versionId }) => versionId));
  for (const id of await chain.jobs()) {
    const job = await chain.job(id);
    if (job) versions.add(job.genesisVersion);
  }
  return resolveId('model', typed, [...versions], (version) => version);
}

/** @throws NOT_FOUND, CONFLICT */
export async function jobNamed(chain: AuditChain, typed: string | undefined): Promise<{ job?: Hex }> {
  if (typed === undefined) return {};
  if (/^0x[0-9a-f]{64}$/.test(typed)) return { job: typed as Hex };
  return { job: resolveId('job', typed, await chain.jobs(), (job) => job) };
}

async function newest(chain: AuditChain): Promise<Hex> {
  for (const closing of (await chain.closings()).toReversed()) {
    const rounds = await chain.rounds(closing.job);
    if (rounds.some((round) => round.closing?.transaction === closing.transaction)) return closing.versionId;
  }
  const job = (await chain.jobs()).at(-1);
  const created = job === undefined ? null : await chain.job(job);
  if (created) return created.genesisVersion;
  throw new RoundtableError('NOT_FOUND', 'The chain has no versions yet.');
}
