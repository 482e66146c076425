/**
 * What s3rver lacks of S3 and the stack needs: nothing is open to the public, bytes are compared with their SHA-256 before they count, objects and
 * parts appear as a whole or not at all, and uploads in parts can be listed and given up.
 */
import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Transform, type Readable } from 'node:stream';
import type S3rver from '@20minutes/s3rver';
import type { Context } from '@20minutes/s3rver';

/** An upload that has not moved for so long was given up; S3 does the same by the bucket's lifecycle. */
const abandonedAfterMs = 2 * 86_400_000;

export function completeUploads(server: S3rver, folder: string): void {
  storeWhole(server);
  joinOnce(server);
  const routes = server.middleware.length - 1;
  server.middleware.splice(routes, 0, async (context, next) => {
    // s3rver lets everybody read who does not say who he is; in the cloud the bucket is closed to the public.
    if (!context.headers['authorization'] && !context.query['X-Amz-Signature'])
      return answer(context, 403, error('AccessDenied'));
    const id = context.query['uploadId'];
    if (id === undefined) return next();
    const upload = uploadFolder(folder, context.path, id);
    if (!upload || !existsSync(upload)) return answer(context, 404, error('NoSuchUpload'));
    try {
      await next();
    } catch (refusal) {
      // Thrown behind the check of the signature, for methods that s3rver does not have.
      if (!isNotAllowed(refusal)) throw refusal;
      if (context.method === 'GET') return answer(context, 200, await listParts(upload));
      if (context.method !== 'DELETE') throw refusal;
      await rm(upload, { recursive: true, force: true });
      return answer(context, 204, '');
    }
  });
}

/** Removes uploads of all buckets that nobody goes on with. @returns how many */
export async function sweepUploads(folder: string, now = Date.now()): Promise<number> {
  let removed = 0;
  for (const bucket of await readdir(folder))
    for (const id of await readdir(uploadsOf(folder, bucket)).catch(() => [])) {
      const upload = join(uploadsOf(folder, bucket), id);
      if (now - (await stat(upload)).mtimeMs < abandonedAfterMs) continue;
      await rm(upload, { recursive: true, force: true });
      removed++;
    }
  return removed;
}

/** s3rver writes where the object will be: what broke off half way, or is wrong, would stand there as the object. */
function storeWhole({ store }: S3rver): void {
  const write = store.putContent.bind(store);
  store.putContent = async (path, content) => {
    const unfinished = `${path}.${randomUUID()}`;
    const expected = 'headers' in content ? content.headers['x-amz-checksum-sha256'] : undefined;
    const hash = createHash('sha256');
    try {
      const result = await write(unfinished, expected === undefined ? content : hashing(content, hash));
      const sha256 = expected === undefined ? '' : hash.digest('base64');
      if (expected !== undefined && sha256 !== expected)
        throw Object.assign(new Error('The SHA-256 is another.'), { status: 400, expose: true });
      if (sha256 !== '' && isPart(path)) await writeFile(`${path}.sha256`, sha256);
      await rename(unfinished, path);
      return result;
    } catch (failure) {
      await rm(unfinished, { force: true });
      throw failure;
    }
  };
}

/** Whoever asks again while an upload's parts are being joined waits for the one answer. */
function joinOnce({ store }: S3rver): void {
  const join = store.putObjectMultipart.bind(store);
  const joining = new Map<string, ReturnType<typeof join>>();
  store.putObjectMultipart = (bucket, upload, parts) => {
    const result = joining.get(upload) ?? join(bucket, upload, parts);
    joining.set(upload, result);
    const ended = () => void joining.delete(upload);
    result.then(ended, ended);
    return result;
  };
}

function hashing(content: Readable, hash: ReturnType<typeof createHash>): Readable {
  const through = new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  content.once('error', (cause) => through.destroy(cause));
  content.once('aborted', () => through.destroy(new Error('the connection broke')));
  return content.pipe(through);
}

async function listParts(upload: string): Promise<string> {
  const numbers = (await readdir(upload))
    .flatMap((name) => /^(\d+)\.md5$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
  const parts = await Promise.all(
    numbers.map(async (number) => {
      const path = join(upload, String(number));
      const [{ size, mtime }, md5, sha256] = await Promise.all([
        stat(path),
        readFile(`${path}.md5`, 'utf8'),
        readFile(`${path}.sha256`, 'utf8').catch(() => ''),
      ]);
      return (
        `<Part><PartNumber>${number}</PartNumber><Size>${size}</Size><ETag>"${md5}"</ETag>` +
        `<LastModified>${mtime.toISOString()}</LastModified>` +
        `${sha256 ? `<ChecksumSHA256>${sha256}</ChecksumSHA256>` : ''}</Part>`
      );
    }),
  );
  return `<ListPartsResult><IsTruncated>false</IsTruncated>${parts.join('')}</ListPartsResult>`;
}

const isPart = (path: string): boolean => path.includes(UPLOADS);
const UPLOADS = '._S3rver_uploads';
const uploadsOf = (folder: string, bucket: string): string => join(folder, bucket, UPLOADS);

/** Null for what cannot be the name of an upload. */
function uploadFolder(folder: string, path: string, id: string): string | null {
  const [, bucket = ''] = path.split('/');
  return /^[0-9a-f]{32}$/.test(id) && /^[a-z0-9.-]+$/.test(bucket)
    ? join(uploadsOf(folder, bucket), id)
    : null;
}

function isNotAllowed(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'MethodNotAllowed';
}

const error = (code: string): string => `<Error><Code>${code}</Code><Message>${code}</Message></Error>`;

function answer(context: Context, status: number, xml: string): void {
  context.status = status;
  context.type = 'application/xml';
  context.body = xml === '' ? null : `<?xml version="1.0" encoding="UTF-8"?>\n${xml}`;
}
