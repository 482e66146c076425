import { RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import { toJobSpec, type JobSpec, type Recipient } from '#core/jobSpec.js';
import { recipientOf } from '#local/consortium/keys.js';
import type { StackFile } from '#local/stackFile.js';
import type { Api } from '../api.js';
import { openPublicRecord } from '../model/sources.js';
import type { JobSource } from './jobFile.js';

/**
 * Uploads a job's files and gives the spec that names them by their hashes, and readers by their keys on chain.
 * @throws JOB_INVALID for an auditor that has announced no key
 */
export async function specOf(api: Api, source: JobSource, stack: StackFile): Promise<JobSpec> {
  const [model, evaluation, readers] = await Promise.all([
    api.putArtifact(source.model),
    source.evaluation ? api.putArtifact(source.evaluation) : null,
    readersOf(stack, source.job.auditors),
  ]);
  return toJobSpec(source.job, {
    model: { sha256: model },
    evaluation: evaluation === null ? null : { sha256: evaluation },
    recipients: source.job.archive.encrypt ? recipientsOf(stack.members) : null,
    readers,
  });
}

/** Those who can read the runners' updates: the coordinator and the auditors, each once. */
async function readersOf(stack: StackFile, auditors: readonly Hex[]): Promise<Recipient[]> {
  const { chain } = openPublicRecord(stack);
  try {
    const readers: Recipient[] = [];
    for (const member of new Set([stack.coordinator, ...auditors])) {
      const publicKey = await chain.sealingKey(member);
      if (publicKey === null)
        throw new RoundtableError(
          'JOB_INVALID',
          `Member ${member} has announced no sealing key on chain, so it cannot read updates. It announces one with \`roundtable announce-key\`.`,
        );
      readers.push({ member, publicKey });
    }
    return readers;
  } finally {
    chain.close();
  }
}

/** Members whose archives can be sealed for them, with their public keys. */
function recipientsOf(members: StackFile['members']): Recipient[] {
  return members.flatMap(({ address, sealing }) =>
    sealing === undefined ? [] : [recipientOf({ address, sealing })],
  );
}
