import { revealTask, type RevealTask, type TrainAnswer } from '#core/messages.js';
import { sealList, sealListHash, type SealList } from '#core/seal.js';
import { parseMessage } from '#core/schema.js';
import { isRoundtableError } from '#core/errors.js';
import { sealListSigner, wrongSeal } from '#services/seals.js';
import { sha256 } from '#services/sha256.js';
import { refuse } from './refusal.js';
import { sealedUpdate } from './sealedUpdate.js';
import type { SealRecord } from './sealedWork.js';
import { sendUpdate } from './sendUpdate.js';
import { checkTerms, orRefused, parseTask } from './takenTask.js';
import { signUpdate } from './trainUpdate.js';
import type { TrainControl, TrainParts } from './trainParts.js';

/**
 * The second half of a round whose runners seal first: signs the update that was sealed, and sends it with what opens the
 * seal. Only when the coordinator has signed the list of all seals, this runner's among them: from then on nobody can join
 * the round with a copy. The list is kept before the update's signature is made.
 * @throws as trainUpdate
 */
export function revealUpdate(parts: TrainParts, input: unknown, control: TrainControl): Promise<TrainAnswer> {
  return orRefused(parts, input, async () => {
    const { key, work } = parts;
    const task = parseTask(revealTask, input);
    const terms = await checkTerms(parts, task);
    const { job, round, openHash } = task.opening;
    const sealed = await work.seals.find(job, round);
    if (!sealed) refuse('NOT_SEALED', `This runner has sealed nothing for round ${round} of job ${job}.`);
    const seals = await readSeals(parts, task, control.signal);
    checkSeals(task, seals, sealed);
    const { coordinator } = parts;
    if (!(await work.seals.keepList(job, round, { coordinator, openHash, ...task.seals, seals })))
      refuse(
        'SEALS_REFUSED',
        `Coordinator ${coordinator} has signed another list of seals for round ${round} before; both are kept.`,
      );
    const { kept, update } = await sealedUpdate(parts, task, terms, control);
    const given = { ...kept.update, salt: kept.salt, signature: signUpdate(key, task, kept.update) };
    const answer = await work.sign(job, round, { openHash, answer: given });
    return sendUpdate(parts, task, { answer, update }, control);
  });
}

/** @throws a refusal for what is no list; NOT_FOUND, UNAVAILABLE and others when it cannot be fetched */
async function readSeals(parts: TrainParts, task: RevealTask, signal: AbortSignal): Promise<SealList> {
  const { bytes } = await parts.models.get(task.seals.list, signal);
  try {
    const seals = parseMessage(sealList, JSON.parse(new TextDecoder().decode(bytes)), 'The list of seals');
    if (sealListHash(sha256, seals) === task.seals.list) return seals;
    return refuse('SEALS_REFUSED', 'The list of seals is not in its canonical form.');
  } catch (error) {
    if (!(error instanceof SyntaxError) && !isRoundtableError(error, 'INVALID_INPUT')) throw error;
    return refuse('SEALS_REFUSED', `The list of seals cannot be read: ${error.message}`);
  }
}

function checkSeals(task: RevealTask, seals: SealList, own: SealRecord): void {
  const signer = sealListSigner(task, task.seals.list, task.seals.signature);
  if (signer !== task.coordinator)
    refuse(
      'SEALS_REFUSED',
      `The list of seals is signed by ${signer ?? 'nobody'}, not by ${task.coordinator}.`,
    );
  if (seals.length > task.place.count)
    refuse(
      'SEALS_REFUSED',
      `There are ${seals.length} seals, and ${task.place.count} runners were selected.`,
    );
  const wrong = wrongSeal(task, seals);
  if (wrong) refuse('SEALS_REFUSED', `In the list of seals ${wrong.what}.`);
  const listed = seals.find(({ runner }) => runner === task.runner);
  if (listed?.seal !== own.seal)
    refuse('SEALS_REFUSED', `The list of seals has ${listed ? 'another seal' : 'no seal'} of this runner.`);
}
