import { RoundtableError } from '#core/errors.js';
import type { Hex, JobId, RunnerId, Sha256Hex } from '#core/hex.js';
import { address, hash32 } from '#core/schema.js';
import { openBucket, type BucketOptions } from './s3.js';
import { sha256Hex } from './sha256.js';

/** Whose update of which round, and the SHA-256 of its file, which is sealed. */
export interface UpdateName {
  job: JobId;
  round: number;
  runner: RunnerId;
  file: Sha256Hex;
}

export interface StoredUpdate {
  runner: RunnerId;
  file: Sha256Hex;
  size: number;
  /** To read it, for 15 minutes. */
  url: string;
}

/**
 * Updates as their runners uploaded them, sealed, under `updates/JOB/ROUND/RUNNER/FILE`. They share nothing with
 * the artifacts, so that a round's updates can be deleted without asking who else needs the bytes.
 */
export interface Updates {
  /**
   * @param most bytes that the reader is ready to hold
   * @throws NOT_FOUND; PAYLOAD_TOO_LARGE; ARTIFACT_CORRUPT for other bytes, which are removed: they can be sent again
   */
  get(name: UpdateName, most: number): Promise<Uint8Array>;
  /** Bytes of the sealed file. @throws NOT_FOUND */
  size(name: UpdateName): Promise<number>;
  /** Some of them, which nobody has compared with anything yet. @throws NOT_FOUND, UNAVAILABLE when it has fewer */
  readRange(name: UpdateName, from: number, to: number): Promise<Uint8Array>;
  list(job: JobId, round: number): Promise<StoredUpdate[]>;
  /** Rounds of which anything is stored, ascending. */
  rounds(job: JobId): Promise<number[]>;
  /** Deletes what is stored of a round. @returns how many files */
  forget(job: JobId, round: number): Promise<number>;
}

export function openUpdates(options: BucketOptions): Updates {
  const bucket = openBucket(options);
  return {
    async get(name, most) {
      const key = updateKey(name);
      const bytes = await bucket.read(key, most);
      if (sha256Hex(bytes) === name.file) return bytes;
      await bucket.remove(key);
      throw new RoundtableError(
        'ARTIFACT_CORRUPT',
        `What runner ${name.runner} uploaded as ${name.file} has another hash and was thrown away.`,
      );
    },

    async size(name) {
      const size = await bucket.size(updateKey(name));
      if (size !== null) return size;
      throw new RoundtableError('NOT_FOUND', `There is no update ${name.file} of runner ${name.runner}.`);
    },

    readRange: (name, from, to) => bucket.readRange(updateKey(name), from, to),

    async list(job, round) {
      const objects = await bucket.list(folderOf(job, round));
      return Promise.all(
        objects.flatMap(({ key, size }) => {
          const [runner, file] = key
            .split('/')
            .slice(-2)
            .map((name) => `0x${name}`);
          const named = { runner: address.safeParse(runner).data, file: hash32.safeParse(file).data };
          if (!named.runner || !named.file) return [];
          const { runner: by, file: of } = named;
          return [bucket.presignGet(key).then((url) => ({ runner: by, file: of, size, url }))];
        }),
      );
    },

    async rounds(job) {
      const objects = await bucket.list(`updates/${job.slice(2)}/`);
      const rounds = new Set(objects.map(({ key }) => Number(key.split('/')[2])));
      return [...rounds].filter(Number.isSafeInteger).sort((a, b) => a - b);
    },

    async forget(job, round) {
      const objects = await bucket.list(folderOf(job, round));
      await bucket.removeAll(objects.map(({ key }) => key));
      return objects.length;
    },
  };
}

export const updateKey = ({ job, round, runner, file }: UpdateName): string =>
  `${folderOf(job, round)}${runner.slice(2)}/${file.slice(2)}`;

/** Everything that a round leaves until it is final. */
export const folderOf = (job: Hex, round: number): string => `updates/${job.slice(2)}/${round}/`;
