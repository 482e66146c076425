import { Readable } from 'node:stream';
import {
  CreateBucketCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { RoundtableError } from '#core/errors.js';
import { fromHex, type Sha256Hex } from '#core/hex.js';
import type { UploadAnswer, UploadRequest } from '#core/messages.js';
import { awsDefaults, reportUnavailable } from './aws.js';
import { sha256Hex } from './sha256.js';

/** Content-addressed bytes in S3, under `sha256/` and 64 hexadecimal digits. Whoever knows a hash may read. */
export interface Artifacts {
  /** Stores the bytes unless they are there already. */
  put(data: Uint8Array): Promise<Sha256Hex>;
  /**
   * @param most bytes that the reader is ready to hold, for what others have stored
   * @throws NOT_FOUND, ARTIFACT_CORRUPT when what is stored are other bytes, PAYLOAD_TOO_LARGE
   */
  get(sha256: Sha256Hex, most?: number): Promise<Uint8Array>;
  has(sha256: Sha256Hex): Promise<boolean>;
  /** A URL for exactly these bytes, to be used with the answer's headers within 15 minutes. */
  presignPut(request: UploadRequest): Promise<UploadAnswer>;
  /** A URL to read them, for 15 minutes, whether they are there or not. */
  presignGet(sha256: Sha256Hex): Promise<string>;
}

export const presignedSeconds = 900;
/** Bytes of one upload (S3's own limit). Nothing larger can have come in, whatever a store announces. */
const largestArtifact = 5 * 1024 ** 3;

export function openArtifacts(options: { bucket: string; client?: S3Client }): Artifacts {
  const client = options.client ?? createClient();
  const at = (sha256: Sha256Hex) => ({ Bucket: options.bucket, Key: artifactKey(sha256) });

  async function storedSize(sha256: Sha256Hex): Promise<number | null> {
    try {
      return (await client.send(new HeadObjectCommand(at(sha256)))).ContentLength ?? 0;
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  return {
    async put(data) {
      const sha256 = sha256Hex(data);
      if ((await storedSize(sha256)) === data.length) return sha256;
      await client.send(
        new PutObjectCommand({
          ...at(sha256),
          Body: data,
          ContentLength: data.length,
          ChecksumSHA256: base64(sha256),
        }),
      );
      return sha256;
    },

    async get(sha256, most = largestArtifact) {
      const bytes = await client
        .send(new GetObjectCommand(at(sha256)))
        .then((answer) => bodyOf(answer, most))
        .catch((error: unknown) => {
          throw isMissing(error)
            ? new RoundtableError('NOT_FOUND', `There is no artifact ${sha256}.`, { cause: error })
            : error;
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
      return (await storedSize(sha256)) !== null;
    },

    async presignPut({ sha256, size }) {
      if ((await storedSize(sha256)) === size) return { url: null, headers: {} };
      const headers = { 'content-length': String(size), 'x-amz-checksum-sha256': base64(sha256) };
      const command = new PutObjectCommand({
        ...at(sha256),
        ContentLength: size,
        ChecksumSHA256: headers['x-amz-checksum-sha256'],
      });
      const bound = new Set(Object.keys(headers));
      // In the query S3 does not enforce the checksum, and an unsigned length would let anybody store 5 GiB.
      const url = await getSignedUrl(client, command, {
        expiresIn: presignedSeconds,
        unhoistableHeaders: bound,
        signableHeaders: new Set([...bound, 'host']),
      });
      return { url, headers };
    },

    presignGet: (sha256) =>
      getSignedUrl(client, new GetObjectCommand(at(sha256)), { expiresIn: presignedSeconds }),
  };
}

export const artifactKey = (sha256: Sha256Hex): string => `sha256/${sha256.slice(2)}`;

/** Creates the bucket if it is not there; for the local stack (in the cloud, infra does). */
export async function ensureBucket(options: { bucket: string; client?: S3Client }): Promise<void> {
  const client = options.client ?? createClient();
  try {
    await client.send(new CreateBucketCommand({ Bucket: options.bucket }));
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

function isMissing(error: unknown): boolean {
  return error instanceof Error && (error.name === 'NotFound' || error.name === 'NoSuchKey');
}

const base64 = (sha256: Sha256Hex): string => Buffer.from(fromHex(sha256)).toString('base64');
