import { Readable } from 'node:stream';
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { RoundtableError } from '#core/errors.js';
import { fromHex, toHex, type Sha256Hex } from '#core/hex.js';
import { awsDefaults, reportUnavailable } from './aws.js';

export interface BucketOptions {
  bucket: string;
  client?: S3Client;
}

/** A part of an upload that has arrived; its hash where the store has kept it. */
export interface StoredPart {
  number: number;
  size: number;
  sha256: Sha256Hex | null;
}

/** A URL with the headers that must be sent with it. */
export interface SignedPut {
  url: string;
  headers: Record<string, string>;
}

/** One S3 bucket, by keys. Every method throws UNAVAILABLE while the store does not answer. */
export interface Bucket {
  /** Bytes of an object; null when there is none. */
  size(key: string): Promise<number | null>;
  /** @param most bytes that the reader is ready to hold. @throws NOT_FOUND, PAYLOAD_TOO_LARGE */
  read(key: string, most?: number): Promise<Uint8Array>;
  /** The bytes from one up to another. @throws NOT_FOUND; UNAVAILABLE when it has fewer */
  readRange(key: string, from: number, to: number): Promise<Uint8Array>;
  write(key: string, data: Uint8Array, sha256: Sha256Hex): Promise<void>;
  remove(key: string): Promise<void>;
  /** A thousand in a request. @throws UNAVAILABLE when any of them is still there */
  removeAll(keys: readonly string[]): Promise<void>;
  list(prefix: string): Promise<{ key: string; size: number }[]>;
  presignGet(key: string): Promise<string>;
  /** Bound to length and SHA-256 by signed headers, which S3 compares with what arrives. */
  presignPut(key: string, content: { sha256: Sha256Hex; size: number }): Promise<SignedPut>;
  beginUpload(key: string): Promise<string>;
  presignPart(
    key: string,
    part: { upload: string; number: number; sha256: Sha256Hex; size: number },
  ): Promise<SignedPut>;
  /** Ascending; null when there is no such upload (any more). */
  parts(key: string, upload: string): Promise<StoredPart[] | null>;
  /** Makes the object of all parts that have arrived. @returns false when there is no such upload (any more) */
  completeUpload(key: string, upload: string): Promise<boolean>;
}

export const presignedSeconds = 900;
/** Keys that S3 deletes in one request. */
const mostOfBatch = 1_000;

export function openBucket({ bucket, client = createClient() }: BucketOptions): Bucket {
  const at = (key: string) => ({ Bucket: bucket, Key: key });

  const storedParts = async (key: string, upload: string) =>
    orNull(
      async () => (await client.send(new ListPartsCommand({ ...at(key), UploadId: upload }))).Parts ?? [],
    );

  return {
    size: (key) => orNull(async () => (await client.send(new HeadObjectCommand(at(key)))).ContentLength ?? 0),

    read: (key, most = Infinity) =>
      client
        .send(new GetObjectCommand(at(key)))
        .then((answer) => bodyOf(answer, most))
        .catch((error: unknown) => {
          throw notFound(key, error);
        }),

    async readRange(key, from, to) {
      const Range = `bytes=${from}-${to - 1}`;
      const answer = await client
        .send(new GetObjectCommand({ ...at(key), Range }))
        .catch((error: unknown) => {
          throw notFound(key, error);
        });
      const bytes = await bodyOf(answer, to - from);
      if (bytes.length === to - from) return bytes;
      throw new RoundtableError(
        'UNAVAILABLE',
        `The artifact store gave ${bytes.length} bytes of ${key} where ${to - from} were asked for.`,
      );
    },

    async write(key, data, sha256) {
      await client.send(
        new PutObjectCommand({
          ...at(key),
          Body: data,
          ContentLength: data.length,
          ChecksumSHA256: base64(sha256),
        }),
      );
    },

    async remove(key) {
      await client.send(new DeleteObjectCommand(at(key)));
    },

    async removeAll(keys) {
      for (let from = 0; from < keys.length; from += mostOfBatch) {
        const Objects = keys.slice(from, from + mostOfBatch).map((Key) => ({ Key }));
        const { Errors = [] } = await client.send(
          new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } }),
        );
        const [first] = Errors;
        if (first)
          throw new RoundtableError(
            'UNAVAILABLE',
            `The artifact store did not delete ${Errors.length} of ${Objects.length} objects: ${first.Code}.`,
          );
      }
    },

    async list(prefix) {
      const found: { key: string; size: number }[] = [];
      for (let next: string | undefined; ;) {
        const answer = await client.send(
          new ListObjectsV2Command({
            Bucket: bucket,
            Prefix: prefix,
            ...(next === undefined ? {} : { ContinuationToken: next }),
          }),
        );
        for (const { Key, Size } of answer.Contents ?? []) if (Key) found.push({ key: Key, size: Size ?? 0 });
        next = answer.NextContinuationToken;
        if (next === undefined) return found;
      }
    },

    presignGet: (key) => getSignedUrl(client, new GetObjectCommand(at(key)), { expiresIn: presignedSeconds }),

    async presignPut(key, content) {
      const { headers, fields } = boundTo(content);
      const command = new PutObjectCommand({ ...at(key), ...fields });
      return { url: await getSignedUrl(client, command, bindingOf(headers)), headers };
    },

    async beginUpload(key) {
      const answer = await client.send(
        new CreateMultipartUploadCommand({ ...at(key), ChecksumAlgorithm: 'SHA256' }),
      );
      if (!answer.UploadId)
        throw new RoundtableError('UNAVAILABLE', 'The store began an upload without a name.');
      return answer.UploadId;
    },

    async presignPart(key, { upload, number, ...content }) {
      const { headers, fields } = boundTo(content);
      const command = new UploadPartCommand({ ...at(key), ...fields, UploadId: upload, PartNumber: number });
      return { url: await getSignedUrl(client, command, bindingOf(headers)), headers };
    },

    async parts(key, upload) {
      const parts = await storedParts(key, upload);
      return (
        parts?.map(({ PartNumber, Size, ChecksumSHA256 }) => ({
          number: PartNumber ?? 0,
          size: Size ?? 0,
          sha256: ChecksumSHA256 ? toHex(Buffer.from(ChecksumSHA256, 'base64')) : null,
        })) ?? null
      );
    },

    async completeUpload(key, upload) {
      const parts = await storedParts(key, upload);
      const done =
        parts &&
        (await orNull(() =>
          client.send(
            new CompleteMultipartUploadCommand({
              ...at(key),
              UploadId: upload,
              MultipartUpload: {
                Parts: parts.map(({ PartNumber, ETag, ChecksumSHA256 }) => ({
                  PartNumber,
                  ETag,
                  ChecksumSHA256,
                })),
              },
            }),
          ),
        ));
      return Boolean(done);
    },
  };
}

/** Creates the bucket if it is not there; for the local stack (in the cloud, infra does). */
export async function ensureBucket({ bucket, client = createClient() }: BucketOptions): Promise<void> {
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
  } catch (error) {
    if (!(error instanceof Error && /^BucketAlready(OwnedByYou|Exists)$/.test(error.name))) throw error;
  }
}

function createClient(): S3Client {
  const client = new S3Client({
    ...awsDefaults,
    // Transfers take as long as they take; only silence ends them.
    requestHandler: { connectionTimeout: 2_000, socketTimeout: 60_000 },
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  client.middlewareStack.add(reportUnavailable('The artifact store (S3)'), { step: 'initialize' });
  return client;
}

function boundTo({ sha256, size }: { sha256: Sha256Hex; size: number }) {
  const checksum = base64(sha256);
  return {
    headers: { 'content-length': String(size), 'x-amz-checksum-sha256': checksum },
    fields: { ContentLength: size, ChecksumSHA256: checksum },
  };
}

/** In the query S3 does not enforce the checksum, and an unsigned length would let anybody store 5 GiB. */
function bindingOf(headers: Record<string, string>) {
  const bound = new Set(Object.keys(headers));
  return {
    expiresIn: presignedSeconds,
    unhoistableHeaders: bound,
    signableHeaders: new Set([...bound, 'host']),
  };
}

/** Into one array from the start: the SDK's own collector gathers the chunks first and then copies them. */
async function bodyOf(
  { Body, ContentLength = 0 }: GetObjectCommandOutput,
  most: number,
): Promise<Uint8Array> {
  if (ContentLength > most) {
    if (Body instanceof Readable) Body.destroy();
    throw new RoundtableError(
      'PAYLOAD_TOO_LARGE',
      `The artifact has ${ContentLength} bytes, and at most ${most} were expected.`,
    );
  }
  const bytes = new Uint8Array(ContentLength);
  let length = 0;
  for await (const chunk of (Body ?? []) as AsyncIterable<Uint8Array>) {
    if (length + chunk.length <= bytes.length) bytes.set(chunk, length);
    length += chunk.length;
  }
  if (length !== bytes.length)
    throw new RoundtableError(
      'UNAVAILABLE',
      `The artifact store announced ${bytes.length} bytes and sent ${length}.`,
    );
  return bytes;
}

async function orNull<T>(ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask();
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

function notFound(key: string, error: unknown): unknown {
  return isMissing(error)
    ? new RoundtableError('NOT_FOUND', `There is no ${key} in the store.`, { cause: error })
    : error;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && ['NotFound', 'NoSuchKey', 'NoSuchUpload'].includes(error.name);
}

const base64 = (sha256: Sha256Hex): string => Buffer.from(fromHex(sha256)).toString('base64');
