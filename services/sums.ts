import { canonicalBytes } from '#core/canonicalJson.js';
import { RoundtableError } from '#core/errors.js';
import type { JobId, Sha256Hex } from '#core/hex.js';
import { parseMessage } from '#core/schema.js';
import { shardPlan, type ShardPlan } from '#core/shards.js';
import { openBucket, type BucketOptions } from './s3.js';
import { sha256Hex } from './sha256.js';
import { folderOf } from './updates.js';

/** Which round a plan or a part belongs to. */
export interface SumOf {
  job: JobId;
  round: number;
}

/**
 * What a sum in shards leaves: the plan of each shard and the part that its function wrote, named by their hashes,
 * among the updates of their round, with which they are deleted.
 */
export interface Sums {
  writePlan(plan: ShardPlan): Promise<Sha256Hex>;
  /** @throws NOT_FOUND, ARTIFACT_CORRUPT */
  readPlan(of: SumOf, plan: Sha256Hex): Promise<ShardPlan>;
  writePart(of: SumOf, part: Uint8Array): Promise<Sha256Hex>;
  /** @param most bytes that the reader is ready to hold. @throws NOT_FOUND, ARTIFACT_CORRUPT, PAYLOAD_TOO_LARGE */
  readPart(of: SumOf, part: Sha256Hex, most: number): Promise<Uint8Array>;
}

export function openSums(options: BucketOptions): Sums {
  const bucket = openBucket(options);

  async function write(of: SumOf, bytes: Uint8Array): Promise<Sha256Hex> {
    const sha256 = sha256Hex(bytes);
    await bucket.write(keyOf(of, sha256), bytes, sha256);
    return sha256;
  }
  async function read(of: SumOf, sha256: Sha256Hex, most?: number): Promise<Uint8Array> {
    const key = keyOf(of, sha256);
    const bytes = await bucket.read(key, most);
    if (sha256Hex(bytes) === sha256) return bytes;
    throw new RoundtableError('ARTIFACT_CORRUPT', `What the store holds as ${key} has another hash.`);
  }
  return {
    writePlan: (plan) => write(plan, canonicalBytes(plan)),
    readPlan: async (of, plan) =>
      parseMessage(
        shardPlan,
        JSON.parse(new TextDecoder().decode(await read(of, plan))),
        'The plan of a shard',
      ),
    writePart: write,
    readPart: read,
  };
}

const keyOf = ({ job, round }: SumOf, sha256: Sha256Hex): string =>
  `${folderOf(job, round)}sums/${sha256.slice(2)}`;
