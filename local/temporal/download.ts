/** The server that the SDK's own test package would download. */
import { execFile } from 'node:child_process';
import { createWriteStream, chmodSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { promisify } from 'node:util';
import { z } from 'zod';
import { projectRoot } from '../paths.js';
import { NoWay, firstLine, reportProgress, temporalVersion, type OnProgress } from './way.js';

export const downloadOrigin = 'https://temporal.download';

/** Many networks drop such connections silently; whoever sits behind one should not wait long to find out. */
const answerTimeoutMs = 6_000;
const stallTimeoutMs = 20_000;

const platforms: Partial<Record<NodeJS.Platform, string>> = {
  linux: 'linux',
  darwin: 'darwin',
  win32: 'windows',
};
const architectures: Partial<Record<NodeJS.Architecture, string>> = { x64: 'amd64', arm64: 'arm64' };

const downloadInfo = z.object({ archiveUrl: z.url(), fileToExtract: z.string().min(1) });

/** The SDK's version decides which server fits it. */
export function sdkVersion(): string {
  const manifest = z
    .object({ dependencies: z.object({ '@temporalio/client': z.string() }) })
    .parse(JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')));
  return manifest.dependencies['@temporalio/client'];
}

/** @throws NoWay */
export async function downloadTemporal(draft: string, origin: string, onProgress: OnProgress): Promise<void> {
  const progress = reportProgress('downloading', 20, onProgress);
  const folder = `${draft}.unpacked`;
  try {
    progress.detail(new URL(origin).host);
    const info = await askForArchive(origin);
    mkdirSync(folder, { recursive: true });
    const archive = join(folder, 'archive.tar.gz');
    await fetchTo(info.archiveUrl, archive, (bytes) => progress.detail(`${Math.round(bytes / 1e6)} MB`));
    await promisify(execFile)('tar', ['-xzf', archive, '-C', folder, info.fileToExtract]);
    const program = join(folder, info.fileToExtract);
    chmodSync(program, 0o755);
    await temporalVersion(program);
    renameSync(program, draft);
  } catch (error) {
    throw error instanceof NoWay ? error : new NoWay(`the download failed: ${reason(error)}`);
  } finally {
    progress.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function askForArchive(origin: string): Promise<z.output<typeof downloadInfo>> {
  const platform = platforms[process.platform];
  const arch = architectures[process.arch];
  if (platform === undefined || arch === undefined)
    throw new NoWay(`none is offered for ${process.platform} on ${process.arch}`);
  const query = new URLSearchParams({
    arch,
    platform,
    format: 'tar.gz',
    'sdk-name': 'sdk-typescript',
    'sdk-version': sdkVersion(),
  });
  const response = await fetch(`${origin}/cli/default?${query}`, {
    signal: AbortSignal.timeout(answerTimeoutMs),
  });
  if (!response.ok) throw new NoWay(`${origin} answered ${response.status}`);
  return downloadInfo.parse(await response.json());
}

async function fetchTo(url: string, path: string, onBytes: (bytes: number) => void): Promise<void> {
  const stalled = new AbortController();
  const giveUp = (): void => stalled.abort(new Error(`nothing came for ${stallTimeoutMs / 1000} s`));
  let timer = setTimeout(giveUp, stallTimeoutMs);
  try {
    const response = await fetch(url, { signal: stalled.signal });
    if (!response.ok || response.body === null)
      throw new NoWay(`${new URL(url).host} answered ${response.status}`);
    let bytes = 0;
    await pipeline(
      Readable.fromWeb(response.body as ReadableStream<Uint8Array>),
      async function* (source: AsyncIterable<Uint8Array>) {
        for await (const piece of source) {
          clearTimeout(timer);
          timer = setTimeout(giveUp, stallTimeoutMs);
          bytes += piece.length;
          onBytes(bytes);
          yield piece;
        }
      },
      createWriteStream(path),
    );
  } finally {
    clearTimeout(timer);
  }
}

/** fetch says only "fetch failed"; what happened is in its cause. */
function reason(error: unknown): string {
  const { cause, message } = error as { cause?: { message?: string }; message?: string };
  return firstLine(cause?.message ?? message ?? String(error));
}
