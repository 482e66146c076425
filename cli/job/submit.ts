import { readFileSync } from 'node:fs';
import { fromHex, toHex, type Hex } from '#core/hex.js';
import { toJobSpec, type JobSpec } from '#core/jobSpec.js';
import { x25519PublicKey } from '#services/x25519.js';
import type { StackFile } from '#local/stackFile.js';
import type { Api } from '../api.js';
import type { JobSource } from './jobFile.js';

/** Uploads a job's files and gives the spec that names them by their hashes. */
export async function specOf(api: Api, source: JobSource, members: StackFile['members']): Promise<JobSpec> {
  const [model, evaluation] = await Promise.all([
    api.putArtifact(source.model),
    source.evaluation ? api.putArtifact(source.evaluation) : null,
  ]);
  return toJobSpec(source.job, {
    model: { sha256: model },
    evaluation: evaluation === null ? null : { sha256: evaluation },
    recipients: source.job.archive.encrypt ? recipientsOf(members) : null,
  });
}

/** Members whose archives can be sealed for them, with their public keys. */
function recipientsOf(members: StackFile['members']): { member: Hex; publicKey: Hex }[] {
  return members.flatMap(({ address, sealing }) =>
    sealing === undefined
      ? []
      : [
          {
            member: address,
            publicKey: toHex(x25519PublicKey(fromHex(readFileSync(sealing, 'utf8').trim(), 32))),
          },
        ],
  );
}
