/** The sum of updates that are larger than what the worker holds: functions add a range of them each. */
import { Buffer } from 'node:buffer';
import type { ErrorCode } from '#core/errorCodes.js';
import { errorCodes } from '#core/errorCodes.js';
import { RoundtableError } from '#core/errors.js';
import { toHex, type Sha256Hex } from '#core/hex.js';
import type { RoundOpening, TrainUpdate } from '#core/messages.js';
import { parseMessage } from '#core/schema.js';
import {
  shardAnswer,
  shardRanges,
  valuesOf,
  type ShardCall,
  type ShardedUpdate,
  type ShardPlan,
} from '#core/shards.js';
import { decodeSumPart } from '#core/sumPart.js';
import { weightOf } from '#core/weights.js';
import type { UpdateOutline } from '../updateOutline.js';
import type { Aggregate, AggregateInput, JoinInput, PreparedJob, ShardInput } from '../types.js';
import type { Dependencies } from './dependencies.js';
import { signReceipts } from './receipts.js';
import { VersionInRanges } from './versionInRanges.js';

/** As an update of this job is read in pieces; twice costs little, since what was read last is remembered. */
export function outlineOf(
  deps: Dependencies,
  { spec, dimension, shards }: PreparedJob,
  { job, round }: RoundOpening,
  { runner, file }: TrainUpdate,
): Promise<UpdateOutline> {
  const ranges = shardRanges(dimension, shards);
  const readers = spec.updates.recipients;
  return deps.outliner.outline({ job, round, runner, file }, { dimension, ranges, readers });
}

/** Writes down what each function adds. @returns the plans' names, in the order of the ranges */
export async function planSum(deps: Dependencies, input: AggregateInput): Promise<Sha256Hex[]> {
  const { prepared, opening, updates } = input;
  const { dimension, shards } = prepared;
  await signReceipts(deps, input);
  const { robust } = prepared.spec.aggregation;
  const ranges = shardRanges(dimension, shards);
  const { job, round } = opening;
  const plans = ranges.map((range): ShardPlan => ({
    kind: 'shard',
    job,
    round,
    dimension,
    range,
    updates: [],
    ...(robust && { robust }),
  }));
  for (const update of updates) {
    const { tree, access } = await outlineOf(deps, prepared, opening, update);
    const root = toHex(tree.root);
    if (root !== update.updateRoot)
      throw new RoundtableError(
        'ARTIFACT_CORRUPT',
        `The update of runner ${update.runner} has the root ${root} by now, and ${update.updateRoot} was admitted.`,
      );
    const common: Omit<ShardedUpdate, 'proof'> = {
      runner: update.runner,
      file: update.file,
      weight: weightOf(update.samples, opening.shift),
      updateRoot: update.updateRoot,
      nonce: toHex(access.nonce),
      sealedAt: access.sealedAt,
      valuesAt: access.valuesAt,
    };
    for (const plan of plans)
      plan.updates.push({ ...common, proof: toHex(Buffer.concat(tree.proof(plan.range))) });
  }
  const names: Sha256Hex[] = [];
  for (const plan of plans) names.push(await deps.sums.writePlan(plan));
  return names;
}

/** Lets a function add one range. @returns the name of the part that it wrote. @throws UNAVAILABLE, ARTIFACT_CORRUPT */
export async function sumShard(
  deps: Dependencies,
  { prepared, round, plan }: ShardInput,
): Promise<Sha256Hex> {
  const { job, spec } = prepared;
  const { updates } = await deps.sums.readPlan({ job, round }, plan);
  const keys: Uint8Array[] = [];
  for (const { runner, file } of updates)
    keys.push((await deps.outliner.access({ job, round, runner, file }, spec.updates.recipients)).key);
  const call: ShardCall = { job, round, plan, keys: Buffer.concat(keys).toString('base64') };
  const answer = parseMessage(
    shardAnswer,
    await deps.sumFunction(call),
    'The answer of the function that adds',
  );
  if ('part' in answer) return answer.part;
  const { code, message } = answer.error;
  throw new RoundtableError(Object.hasOwn(errorCodes, code) ? (code as ErrorCode) : 'INTERNAL', message);
}

/** The whole sum's roots, the step and the new version from all parts; one part is held at a time. */
export async function joinSum(deps: Dependencies, input: JoinInput): Promise<Aggregate> {
  const { prepared, opening, updates, parts } = input;
  const { dimension } = prepared;
  const next = await VersionInRanges.from(deps, input);
  for (const [index, range] of shardRanges(dimension, prepared.shards).entries()) {
    const shape = { dimension, range, updates: updates.length };
    const [from, to] = valuesOf(dimension, range);
    const name = parts[index];
    if (!name) throw new RoundtableError('INTERNAL', `Part ${index} of the sum is missing.`);
    const bytes = await deps.sums.readPart(opening, name, 8 * (to - from) + mostRootBytes);
    next.add(range, decodeSumPart(shape, bytes));
  }
  return next.store();
}

/** 16,384 runners have 1,171 nodes; no range has more than 64 subtrees. */
const mostRootBytes = 32 * 64 * 1_171;
