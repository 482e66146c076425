import { answerQuestion } from '#audit/answer.js';
import { answerEpochQuestion } from '#audit/epochAnswer.js';
import type { UpdateSource, WantedUpdate } from '#audit/index.js';
import type { ChainCall } from '#contracts/typed.js';
import { isRoundtableError } from '#core/errors.js';
import { toHex, type Hex } from '#core/hex.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { decodeUpdateFile } from '#core/updateFile.js';
import { sha256 } from '#services/sha256.js';
import type { StoredUpdate } from '#services/updates.js';
import type { AnswerInput } from '../types.js';
import type { Dependencies } from './dependencies.js';

/**
 * The call that answers a question. About an epoch: from its manifest. About a round: from its manifest, the versions in the store, the receipts that were signed, and the
 * updates, which are kept until their round is final, and no round of a job is final while a question about the job waits.
 */
export function findAnswer(deps: Dependencies, { question }: AnswerInput): Promise<ChainCall | null> {
  const { chain, archive, table } = deps;
  if ('epoch' in question) return answerEpochQuestion({ chain, archive, hash: sha256 }, question);
  return answerQuestion(
    { chain, archive, hash: sha256, held: (hash) => held(deps, hash), updateSource: storedUpdates(deps) },
    question,
    (job, round) => table.listReceipts(job, round),
  );
}

/** Models are kept in the clear, whoever they are archived for. */
async function held({ artifacts }: Dependencies, hash: Hex): Promise<Uint8Array | null> {
  try {
    return await artifacts.get(hash);
  } catch (error) {
    if (isRoundtableError(error, 'NOT_FOUND')) return null;
    throw error;
  }
}

/** A runner may have uploaded several files; the one that it signed leads to the root. */
function storedUpdates({ updates, readUpdate }: Dependencies): UpdateSource {
  const lists = new Map<string, Promise<StoredUpdate[]>>();
  const listed = ({ job, round }: WantedUpdate) => {
    const key = `${job}/${round}`;
    const list = lists.get(key) ?? updates.list(job, round);
    lists.set(key, list);
    return list;
  };
  return async (wanted) => {
    const { job, round, runner, updateRoot } = wanted;
    for (const { runner: by, file, size } of await listed(wanted)) {
      if (by !== runner) continue;
      const plain = await readUpdate({ job, round, runner, file }, size);
      const { delta } = decodeUpdateFile(plain);
      if (toHex(valuesRoot(sha256, LEAF.update, delta)) === updateRoot) return plain;
    }
    return null;
  };
}
