import { updateDomain, updateTypes } from '#core/eip712.js';
import type { ErrorCode } from '#core/errorCodes.js';
import { isRoundtableError } from '#core/errors.js';
import { INT32_LIMIT } from '#core/fixedPoint.js';
import { toHex, type Hex } from '#core/hex.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { trainAnswer, type RoundOpening, type TrainUpdate } from '#core/messages.js';
import { sumTree } from '#core/sumTree.js';
import { weightOf } from '#core/weights.js';
import { typedDataSigner } from '#services/signatures.js';
import { sha256 } from '#services/sha256.js';
import type { AdmitInput, Aggregate, AggregateInput, PreparedJob } from '../types.js';
import type { Dependencies } from './dependencies.js';
import { outlineOf } from './shardedSum.js';
import { step, storeAggregate } from './newVersion.js';
import { signReceipts } from './receipts.js';
import { aggregateRobustly } from './robustAggregate.js';
import { checkSealed } from './seals.js';
import { checkHeader, readDelta, refuse } from './updateDelta.js';
import { updateRootOf } from './updateRoot.js';
import { loadVersion } from './versions.js';

/**
 * Accepts an update into the round, or says why not: the file is what was signed, by the runner that was asked,
 * for this opening, within what it had declared.
 * @throws UPDATE_REFUSED
 */
export async function admitUpdate(deps: Dependencies, input: AdmitInput): Promise<void> {
  const { opening, prepared } = input;
  const update = wellFormed(input.update);
  const selected = opening.selection.find(({ runner }) => runner === update.runner);
  if (!selected) refuse(`runner ${update.runner} was not selected`);
  if (update.samples > selected.maxSamples)
    refuse(
      `it claims ${update.samples} samples, and ${selected.maxSamples} were declared when the round opened`,
    );
  const signer = recover(prepared, opening, update);
  if (signer !== update.runner) refuse(`its signature is of ${signer}, not of runner ${update.runner}`);
  checkSealed({ ...input, update });
  const { dimension } = prepared;
  if (update.dimension !== dimension)
    refuse(`it has ${update.dimension} values, and the model has ${dimension}`);
  const { root, saturated } = await inspect(deps, prepared, opening, update).catch((error: unknown) => {
    if (!isRoundtableError(error) || !unreadable.includes(error.code)) throw error;
    return refuse(`its file cannot be read: ${error.message}`);
  });
  if (root !== update.updateRoot)
    refuse(`its file has the root ${root}, and ${update.updateRoot} was signed`);
  const allowed = prepared.spec.participants.allowSaturated;
  if (saturated > allowed) refuse(`${saturated} of its values are saturated, and the job allows ${allowed}`);
}

/** Reads the update's file: at once, or piece after piece where it is larger than what the worker holds. */
async function inspect(
  deps: Dependencies,
  prepared: PreparedJob,
  opening: RoundOpening,
  update: TrainUpdate,
): Promise<{ root: Hex; saturated: number }> {
  if (prepared.shards > 1) {
    const { header, tree, saturated } = await outlineOf(deps, prepared, opening, update);
    checkHeader(header, opening, update);
    return { root: toHex(tree.root), saturated };
  }
  const delta = await readDelta(deps, prepared.spec, opening, update);
  return { root: await updateRootOf(delta), saturated: countSaturated(delta) };
}

/** A runner's answer comes as whatever its process sent. */
function wellFormed(answer: unknown): TrainUpdate {
  const parsed = trainAnswer.safeParse(answer);
  if (parsed.success && parsed.data.kind === 'update') return parsed.data;
  return refuse('it has not the form of one');
}

/** What is wrong with a file for good; anything else may be gone at the next attempt. */
const unreadable: readonly ErrorCode[] = [
  'NOT_FOUND',
  'FORMAT_INVALID',
  'PAYLOAD_TOO_LARGE',
  'ARTIFACT_CORRUPT',
  'SEAL_NOT_FOR_YOU',
  'SEAL_BROKEN',
];

/**
 * The exact sum over the aggregation tree, the step and the new version. Four updates and one partial sum a level
 * are held at a time, so memory does not grow with the runners.
 */
export async function aggregate(deps: Dependencies, input: AggregateInput): Promise<Aggregate> {
  const { prepared, opening, base, updates } = input;
  const { robust } = prepared.spec.aggregation;
  if (robust) {
    await signReceipts(deps, input);
    return aggregateRobustly(deps, input, robust);
  }
  const [{ layout, params, velocity }] = await Promise.all([
    loadVersion(deps, base),
    signReceipts(deps, input),
  ]);
  const weights = updates.map(({ samples }) => weightOf(samples, opening.shift));
  const sumRoots: Hex[][] = [];
  const { values, weight } = await sumTree({
    dimension: layout.dimension,
    weights,
    read: (index) => {
      const update = updates[index];
      if (!update) throw new TypeError(`there is no update ${index}`);
      return readDelta(deps, prepared.spec, opening, update);
    },
    onNode(level, index, sum) {
      (sumRoots[level] ??= [])[index] = toHex(valuesRoot(sha256, LEAF.sum, sum.values));
    },
  });
  const stepped = step(prepared.spec, params, velocity, values, weight);
  return storeAggregate(deps, input, { layout, ...stepped, sumRoots, weights });
}

function recover({ domain }: PreparedJob, opening: RoundOpening, update: TrainUpdate): string {
  const statement = {
    job: opening.job,
    round: opening.round,
    openHash: opening.openHash,
    updateRoot: update.updateRoot,
    dimension: update.dimension,
    samples: update.samples,
    steps: update.steps,
  };
  const signed = updateDomain(domain.chainId, domain.jobs);
  return (
    typedDataSigner(signed, updateTypes, statement, update.signature) ??
    refuse('its signature has not the form of one')
  );
}

function countSaturated(delta: Int32Array): number {
  let saturated = 0;
  for (let i = 0; i < delta.length; i++)
    if (delta[i] === INT32_LIMIT || delta[i] === -INT32_LIMIT) saturated++;
  return saturated;
}
