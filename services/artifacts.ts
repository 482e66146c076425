import { isRoundtableError, RoundtableError } from '#core/errors.js';
import type { Hex, Sha256Hex } from '#core/hex.js';
import { openBucket, type BucketOptions } from './s3.js';
import { sha256Hex } from './sha256.js';

export { ensureBucket } from './s3.js';

/**
 * Content-addressed bytes in S3: `sha256/HASH`. Whoever knows a hash may read.
 *
 * Only what the store has compared with its hash lies there. It can compare what comes in one piece; of what came
 * in parts it has seen only the parts' hashes. That lies under `incoming/HASH/UPLOADER` until the coordinator reads
 * it for the first time, checks it, and stores it under its hash. So nobody can put wrong bytes under a hash, and
 * what one uploader sends stands in nobody else's way.
 */
export interface Artifacts {
  /** Stores the bytes unless they are there already. */
  put(data: Uint8Array): Promise<Sha256Hex>;
  /**
   * @param most bytes that the reader is ready to hold, for what others have stored
   * @throws NOT_FOUND; ARTIFACT_CORRUPT when what is stored are other bytes; PAYLOAD_TOO_LARGE
   */
  get(sha256: Sha256Hex, most?: number): Promise<Uint8Array>;
  /** Whether they are there, compared with their hash or not yet. */
  has(sha256: Sha256Hex): Promise<boolean>;
  /** A URL to read them, for 15 minutes; null unless they are there and have been compared with their hash. */
  presignGet(sha256: Sha256Hex): Promise<string | null>;
}

/** Bytes of one upload (S3's own limit). Nothing larger can have come in, whatever a store announces. */
const largestArtifact = 5 * 1024 ** 3;

export function openArtifacts(options: BucketOptions): Artifacts {
  const bucket = openBucket(options);

  /** Uploads that turn out wrong are removed, so that the same uploader can send the right ones. */
  async function admit(sha256: Sha256Hex, most?: number): Promise<Uint8Array> {
    let wrong = 0;
    for (const { key } of await bucket.list(incomingKey(sha256, ''))) {
      const bytes = await bucket.read(key, most).catch((error: unknown) => {
        if (isRoundtableError(error, 'NOT_FOUND')) return null;
        throw error;
      });
      if (!bytes) continue;
      const right = sha256Hex(bytes) === sha256;
      // Not copied within the store: its uploader might put something else there in the meantime.
      if (right) await bucket.write(artifactKey(sha256), bytes, sha256);
      await bucket.remove(key);
      if (right) return bytes;
      wrong++;
    }
    if (wrong === 0) throw new RoundtableError('NOT_FOUND', `There is no artifact ${sha256}.`);
    throw new RoundtableError(
      'ARTIFACT_CORRUPT',
      `What was uploaded as ${sha256} has another hash and was thrown away. Upload it again.`,
    );
  }

  return {
    async put(data) {
      const sha256 = sha256Hex(data);
      const key = artifactKey(sha256);
      if ((await bucket.size(key)) !== data.length) await bucket.write(key, data, sha256);
      return sha256;
    },

    async get(sha256, most = largestArtifact) {
      const bytes = await bucket.read(artifactKey(sha256), most).catch((error: unknown) => {
        if (isRoundtableError(error, 'NOT_FOUND')) return admit(sha256, most);
        throw error;
      });
      const found = sha256Hex(bytes);
      if (found !== sha256)
        throw new RoundtableError(
          'ARTIFACT_CORRUPT',
          `The artifact stored as ${sha256} has ${bytes.length} bytes with SHA-256 ${found}. Delete it and upload it again.`,
        );
      return bytes;
    },

    async has(sha256) {
      if ((await bucket.size(artifactKey(sha256))) !== null) return true;
      return (await bucket.list(incomingKey(sha256, ''))).length > 0;
    },

    async presignGet(sha256) {
      const key = artifactKey(sha256);
      return (await bucket.size(key)) === null ? null : bucket.presignGet(key);
    },
  };
}

export const artifactKey = (sha256: Sha256Hex): string => `sha256/${sha256.slice(2)}`;

/** @param uploader empty for the prefix of all uploaders */
export const incomingKey = (sha256: Sha256Hex, uploader: Hex | ''): string =>
  `incoming/${sha256.slice(2)}/${uploader.slice(2)}`;
