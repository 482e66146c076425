import { RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import type { JobSpec } from '#core/jobSpec.js';
import { genesisManifest } from '#core/manifest.js';
import { readManifest } from '#audit/documents.js';
import { sha256 } from '#services/sha256.js';
import type { StackFile } from '#local/stackFile.js';
import { resolveId } from '../command.js';
import { openPublicRecord } from '../model/sources.js';

/**
 * A job on chain that this stack's member may go on with, with its spec from the archive.
 * @param typed the beginning of its id
 * @throws NOT_FOUND; CONFLICT while its coordinator is there, or when it has ended
 */
export async function abandonedJob(stack: StackFile, typed: string): Promise<{ job: Hex; spec: JobSpec }> {
  const { chain, archive } = openPublicRecord(stack);
  try {
    const id = resolveId('job', typed, await chain.jobs(), (job) => job);
    const [created, { coordinator, phase }] = await Promise.all([chain.job(id), chain.escrow(id)]);
    if (!created || phase === 'finished' || phase === 'refunded')
      throw new RoundtableError('CONFLICT', `Job ${id} has ended; there is nothing to go on with.`);
    if (coordinator === stack.coordinator && phase === 'running')
      throw new RoundtableError('CONFLICT', `Member ${coordinator} coordinates job ${id} already.`);
    const { archiveId, manifestHash: hash } = created;
    const { hashed } = await readManifest(
      { archive, hash: sha256 },
      { schema: genesisManifest, archiveId, hash },
    );
    return { job: id, spec: hashed.spec };
  } finally {
    chain.close();
  }
}
