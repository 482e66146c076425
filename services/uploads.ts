import { RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import {
  uploadPartBytes,
  type BeginUpload,
  type CompleteUpload,
  type PartsRequest,
  type SignedParts,
  type UploadAnswer,
  type UploadRequest,
} from '#core/transferMessages.js';
import { artifactKey, incomingKey } from './artifacts.js';
import { openBucket, type BucketOptions } from './s3.js';
import { updateKey } from './updates.js';

/**
 * How others store bytes: in one piece where one part holds them, else in parts of 8 MiB that S3 gathers. Each URL
 * is bound to the length and SHA-256 of what may be put there. Every call may be repeated.
 */
export interface Uploads {
  begin(uploader: Hex, request: BeginUpload): Promise<UploadAnswer>;
  /** @throws INVALID_INPUT for a part that the upload does not have */
  parts(uploader: Hex, request: PartsRequest): Promise<SignedParts>;
  /** @throws CONFLICT while parts are missing, NOT_FOUND for an upload that is no longer known */
  complete(uploader: Hex, request: CompleteUpload): Promise<void>;
}

export function openUploads(options: BucketOptions): Uploads {
  const bucket = openBucket(options);
  return {
    async begin(uploader, request) {
      const keys = keysOf(uploader, request);
      for (const key of keys.stored)
        if ((await bucket.size(key)) === request.size) return { url: null, headers: {}, upload: null };
      if (request.size <= uploadPartBytes) {
        const { url, headers } = await bucket.presignPut(keys.whole, request);
        return { url, headers, upload: null };
      }
      const begun = request.upload === undefined ? null : await bucket.parts(keys.inParts, request.upload);
      const id =
        begun && request.upload !== undefined ? request.upload : await bucket.beginUpload(keys.inParts);
      const parts = (begun ?? []).map(({ number, sha256 }) => ({ number, sha256 }));
      return { url: null, headers: {}, upload: { id, parts } };
    },

    async parts(uploader, request) {
      const { inParts } = keysOf(uploader, request);
      const signed = request.parts.map(async ({ number, sha256 }) => {
        const size = partSize(request.size, number);
        if (size <= 0)
          throw new RoundtableError(
            'INVALID_INPUT',
            `An upload of ${request.size} bytes has no part ${number}.`,
          );
        const { url, headers } = await bucket.presignPart(inParts, {
          upload: request.upload,
          number,
          sha256,
          size,
        });
        return { number, url, headers };
      });
      return { parts: await Promise.all(signed) };
    },

    async complete(uploader, request) {
      const { inParts } = keysOf(uploader, request);
      const parts = await bucket.parts(inParts, request.upload);
      if (parts) {
        const arrived = parts.filter(({ number, size }) => size === partSize(request.size, number));
        const expected = Math.ceil(request.size / uploadPartBytes);
        if (arrived.length !== expected || parts.length !== expected)
          throw new RoundtableError(
            'CONFLICT',
            `${arrived.length} of the upload's ${expected} parts have arrived; send the others first.`,
          );
        if (await bucket.completeUpload(inParts, request.upload)) return;
      }
      // Joined before, by a request whose answer was lost.
      if ((await bucket.size(inParts)) !== request.size)
        throw new RoundtableError('NOT_FOUND', 'There is no such upload any more; begin it anew.');
    },
  };
}

/** Bytes of a part, counted from 1; none beyond the end. */
export const partSize = (size: number, number: number): number =>
  Math.min(uploadPartBytes, size - (number - 1) * uploadPartBytes);

/** An uploader writes only under its own name, but for what S3 itself compares with its hash. */
function keysOf(uploader: Hex, { sha256, update }: UploadRequest) {
  if (update) {
    const key = updateKey({ ...update, runner: uploader, file: sha256 });
    return { whole: key, inParts: key, stored: [key] };
  }
  const [whole, inParts] = [artifactKey(sha256), incomingKey(sha256, uploader)];
  return { whole, inParts, stored: [whole, inParts] };
}
