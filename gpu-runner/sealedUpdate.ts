import { randomBytes } from 'node:crypto';
import { toHex } from '#core/hex.js';
import type { TrainTask } from '#core/messages.js';
import { sealOf } from '#core/seal.js';
import { sha256 } from '#services/sha256.js';
import type { SealRecord } from './sealedWork.js';
import type { TaskTerms } from './takenTask.js';
import { trainInTurn } from './trainInTurn.js';
import type { TrainControl, TrainParts } from './trainParts.js';

/**
 * The update of a job whose runners seal first, and its seal: as they were kept, or made and kept now. Nothing of the update
 * is signed but the seal. An update file that is gone is made again, under the seal that there was.
 * @throws CONFLICT when it does not come out the same; otherwise as trainInTurn
 */
export async function sealedUpdate(
  parts: TrainParts,
  task: TrainTask,
  terms: TaskTerms,
  control: TrainControl,
): Promise<{ kept: SealRecord; update: Uint8Array }> {
  const { key, work } = parts;
  const { job, round, openHash } = task.opening;
  const before = await work.seals.find(job, round);
  const there = before && (await work.update(job, round, before.update));
  if (before && there) return { kept: before, update: there };
  const { answer, update } = await trainInTurn(parts, task, terms, control);
  const salt = before?.salt ?? toHex(randomBytes(32));
  const seal = sealOf(sha256, answer.updateRoot, key.address, salt);
  const signature = key.signSeal(task.domain, { job, round, openHash, seal });
  // The update first: whoever finds a seal finds what it is of.
  await work.keepUpdate(job, round, update);
  const kept = await work.seals.keep(job, round, { openHash, salt, seal, signature, update: answer });
  return { kept, update };
}
