import { z } from 'zod';
import { address, count, hash32, jobId, round } from './schema.js';

/** How bytes come to a stack's store, past its API: see services/uploads.ts and gpu-runner/upload.ts. */

/** Bytes of every part of an upload but the last; what is not larger goes in one piece. */
export const uploadPartBytes = 8 * 1024 ** 2;

/** A runner or member wants to store bytes: the URLs it gets are bound to exactly these. */
export const uploadRequest = z.strictObject({
  sha256: hash32,
  size: z
    .number()
    .int()
    .min(0)
    .max(5 * 1024 ** 3),
  /** For a runner's update of a round; other bytes are artifacts. */
  update: z.strictObject({ job: jobId, round }).optional(),
});
export type UploadRequest = z.output<typeof uploadRequest>;

/** S3's name of an upload in parts. */
const uploadId = z.string().regex(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,1023}$/, 'the name of an upload');
const partNumber = z.number().int().min(1).max(10_000);

/** `upload` names one that was begun before and is to go on. */
export const beginUpload = uploadRequest.extend({ upload: uploadId.optional() });
export type BeginUpload = z.output<typeof beginUpload>;
export const uploadAnswer = z.strictObject({
  /** For bytes in one piece. When `upload` is null too, they are stored already. */
  url: z.string().nullable(),
  headers: z.record(z.string(), z.string()),
  /** For bytes in parts, with those that have arrived. */
  upload: z
    .strictObject({
      id: uploadId,
      parts: z.array(z.strictObject({ number: partNumber, sha256: hash32.nullable() })),
    })
    .nullable(),
});
export type UploadAnswer = z.output<typeof uploadAnswer>;

export const partsRequest = uploadRequest.extend({
  upload: uploadId,
  parts: z
    .array(z.strictObject({ number: partNumber, sha256: hash32 }))
    .min(1)
    .max(16),
});
export type PartsRequest = z.output<typeof partsRequest>;
export const signedParts = z.strictObject({
  parts: z.array(
    z.strictObject({ number: partNumber, url: z.string(), headers: z.record(z.string(), z.string()) }),
  ),
});
export type SignedParts = z.output<typeof signedParts>;

export const completeUpload = uploadRequest.extend({ upload: uploadId });
export type CompleteUpload = z.output<typeof completeUpload>;

/** A round's updates for a member: sealed, each with a URL that serves it for a quarter of an hour. */
export const storedUpdates = z.strictObject({
  items: z.array(z.strictObject({ runner: address, file: hash32, size: count, url: z.string() })),
});
