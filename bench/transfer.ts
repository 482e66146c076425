import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomFillSync } from 'node:crypto';
import { S3Client } from '@aws-sdk/client-s3';
import { beginUpload, completeUpload, partsRequest, uploadPartBytes } from '#core/transferMessages.js';
import { toHex } from '#core/hex.js';
import { s3Part } from '#local/emulators/s3.js';
import { localRegion } from '#local/environment.js';
import { download } from '#gpu-runner/download.js';
import { upload, type Ask } from '#gpu-runner/upload.js';
import { emptyUpdateFile } from '#core/updateFile.js';
import { ensureBucket, openBucket } from '#services/s3.js';
import { sha256Hex } from '#services/sha256.js';
import { openUpdate, sealUpdate } from '#services/updateSealing.js';
import { updateKey } from '#services/updates.js';
import { outboundRules } from '#services/outboundUrl.js';
import { openUploads } from '#services/uploads.js';
import { generateX25519Key } from '#services/x25519.js';
import { breakingLink } from './breakingLink.js';
import type { Emit } from './main.js';

const bytes = 1024 ** 3;
const everyMs = 5_000;
const bytesPerSecond = 40 * 1024 ** 2;
const uploader = `0x${'11'.repeat(20)}` as const;
const job = `0x${'0a'.repeat(32)}` as const;

/** 1 GB up and down through a link that breaks every 5 s; and what sealing an update costs. */
export async function run(emit: Emit): Promise<void> {
  sealing(emit);
  const folder = mkdtempSync(join(tmpdir(), 'roundtable-transfer-'));
  const port = await freePort();
  const part = s3Part({ port, stateDir: folder });
  const store = spawn(part.command, part.args, { env: { ...process.env, ...part.env }, stdio: 'ignore' });
  const link = await breakingLink({ to: port, everyMs, bytesPerSecond });
  try {
    await part.ready({ signal: AbortSignal.timeout(30_000), onLine: () => undefined });
    const [near, far] = [port, link.port].map(
      (at) =>
        new S3Client({
          region: localRegion,
          credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
          endpoint: `http://127.0.0.1:${at}`,
          forcePathStyle: true,
          requestChecksumCalculation: 'WHEN_REQUIRED',
          responseChecksumValidation: 'WHEN_REQUIRED',
        }),
    );
    if (!near || !far) throw new TypeError('Two clients were to be made.');
    await ensureBucket({ bucket: 'transfer', client: near });
    const data = randomFillSync(new Uint8Array(bytes));
    const file = sha256Hex(data);
    const request = { sha256: file, size: bytes, update: { job, round: 1 } };
    const bucket = { bucket: 'transfer', client: far };
    let puts = 0;
    const ask = askOf(openUploads(bucket), (parts) => (puts += parts));
    const signal = AbortSignal.timeout(480_000);
    const rules = outboundRules(['http://127.0.0.1']);

    for (const direction of ['up', 'down'] as const) {
      const [began, broken] = [performance.now(), link.breaks()];
      if (direction === 'up') await upload(ask, data, request, { signal, rules });
      else {
        const key = updateKey({ job, round: 1, runner: uploader, file });
        const received = await download(
          file,
          join(folder, 'part'),
          () => openBucket(bucket).presignGet(key),
          { signal, rules },
        );
        if (received.length !== bytes) throw new RangeError('It did not arrive whole.');
      }
      const seconds = (performance.now() - began) / 1_000;
      emit({
        figure: 'breaking link',
        direction,
        bytes,
        brokenEverySeconds: everyMs / 1_000,
        breaks: link.breaks() - broken,
        seconds,
        ofTheLink: bytes / seconds / bytesPerSecond,
        ...(direction === 'up' ? { partsSigned: puts, parts: bytes / uploadPartBytes } : {}),
        sha256: 'equal',
      });
    }
  } finally {
    await link.close();
    store.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One update of the CNN of McMahan et al. (1,663,370 values, 6.7 MB) for the coordinator and two auditors. */
function sealing(emit: Emit): void {
  const ids = { job, round: 1, runner: uploader };
  const { file, delta } = emptyUpdateFile({ ...ids, ring: 'i32', dimension: 1_663_370 });
  randomFillSync(delta);
  const keys = [1, 2, 3].map((n) => ({ id: `0x${String(n).repeat(40)}` as const, ...generateX25519Key() }));
  const readers = keys.map(({ id, publicKey }) => ({ member: id, publicKey: toHex(publicKey) }));
  const [reader] = keys;
  if (!reader) return;
  const times: { seal: number; open: number; copy: number }[] = [];
  for (let repeat = 0; repeat < 20; repeat++) {
    const t0 = performance.now();
    const sealed = sealUpdate(file, readers, ids);
    const t1 = performance.now();
    openUpdate(sealed, reader, ids);
    const t2 = performance.now();
    sealed.slice().copyWithin(0, 1);
    times.push({ seal: t1 - t0, open: t2 - t1, copy: performance.now() - t2 });
  }
  const median = (of: 'seal' | 'open' | 'copy') =>
    times.map((time) => time[of]).sort((a, b) => a - b)[times.length / 2] ?? NaN;
  emit({
    figure: 'sealing an update',
    bytes: file.length,
    readers: readers.length,
    sealMs: median('seal'),
    openMs: median('open'),
    sealPerCopy: median('seal') / median('copy'),
  });
}

/** The API's part, without HTTP: every request that goes to the store goes over the link. */
function askOf(uploads: ReturnType<typeof openUploads>, onParts: (parts: number) => void): Ask {
  return async (path, body, answer) => {
    if (path === '/v1/uploads') return answer.parse(await uploads.begin(uploader, beginUpload.parse(body)));
    if (path === '/v1/uploads/parts') {
      const request = partsRequest.parse(body);
      onParts(request.parts.length);
      return answer.parse(await uploads.parts(uploader, request));
    }
    await uploads.complete(uploader, completeUpload.parse(body));
    return answer.parse(null);
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
