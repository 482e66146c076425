import type { OpenAPIHono } from '@hono/zod-openapi';
import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import type { JobId, Sha256Hex } from '#core/hex.js';
import {
  beginUpload,
  completeUpload,
  partsRequest,
  signedParts,
  storedUpdates,
  uploadAnswer,
  type UploadRequest,
} from '#core/transferMessages.js';
import { hash32, jobId, round } from '#core/schema.js';
import { finalJobStates, type JobView } from '#core/views.js';
import type { ApiParts } from './app.js';
import { cached } from './cached.js';
import { addEndpoint } from './endpoint.js';
import type { Signer } from './signer.js';

/** Transfers go straight to the store, by presigned URLs; the API never carries the bytes. */
export function addArtifacts(app: OpenAPIHono, parts: ApiParts): void {
  const { artifacts, uploads, updates, limits, table } = parts;
  // The runners of a round all ask for the same version at once.
  const locate = cached(async (sha256: Sha256Hex) => {
    const url = await artifacts.presignGet(sha256);
    if (url === null) throw new RoundtableError('NOT_FOUND', `There is no artifact ${sha256}.`);
    return url;
  });
  // The row follows the workflow at a distance in any case; what is uploaded for nothing is deleted with its round.
  const findJob = cached(async (job: JobId) => {
    const row = await table.getJob(job);
    if (!row) throw new RoundtableError('NOT_FOUND', `There is no job ${job} here.`);
    return row;
  });

  addEndpoint(
    app,
    parts,
    {
      method: 'post',
      path: '/v1/uploads',
      summary:
        'A URL to PUT exactly these bytes to, with the headers of the answer; for more than 8 MiB an upload in parts; neither when they are stored.',
      signers: 'member or runner',
      body: beginUpload,
      status: 200,
      answer: uploadAnswer,
    },
    async ({ body, signer }) => {
      await checkPlace(findJob, signer, body);
      const answer = await uploads.begin(signer.address, body);
      // An upload that is taken up again was counted when it began.
      const begins = answer.url !== null || (answer.upload !== undefined && body.upload === undefined);
      if (begins) await limits.uploads(signer.address, body.size);
      return answer;
    },
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'post',
      path: '/v1/uploads/parts',
      summary: 'URLs to PUT exactly these parts to, each of 8 MiB but the last.',
      signers: 'member or runner',
      body: partsRequest,
      status: 200,
      answer: signedParts,
    },
    ({ body, signer }) => uploads.parts(signer.address, body),
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'post',
      path: '/v1/uploads/complete',
      summary: 'Joins the parts that were sent. Their whole is compared with its hash before it is used.',
      signers: 'member or runner',
      body: completeUpload,
      status: 204,
    },
    async ({ body, signer }) => {
      await uploads.complete(signer.address, body);
      return null;
    },
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/v1/artifacts/{sha256}',
      summary: 'Redirects to a URL that serves the bytes for a quarter of an hour.',
      signers: 'member or runner',
      params: { sha256: hash32 },
      status: 307,
    },
    async ({ params: { sha256 } }) => {
      const location = await locate(sha256);
      return new Response(null, { status: 307, headers: { location } });
    },
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/v1/jobs/{job}/rounds/{round}/updates',
      summary:
        "A round's updates until its dispute window has passed, sealed for the coordinator and the job's auditors.",
      signers: 'member',
      params: { job: jobId, round: z.coerce.number().pipe(round) },
      status: 200,
      answer: storedUpdates,
    },
    async ({ params }) => ({ items: await updates.list(params.job, params.round) }),
  );
}

/** Updates are taken of the round that a job is in, under the name of the runner that sends them. */
async function checkPlace(
  findJob: (job: JobId) => Promise<Pick<JobView, 'state' | 'round'>>,
  signer: Signer,
  { update }: UploadRequest,
): Promise<void> {
  if (!update) return;
  if (signer.address === signer.member)
    throw new RoundtableError('FORBIDDEN', 'Updates are of runners; a member has none.');
  const job = await findJob(update.job);
  if (finalJobStates.includes(job.state) || update.round <= job.round)
    throw new RoundtableError(
      'CONFLICT',
      `Round ${update.round} of job ${update.job} is over; it takes no updates.`,
    );
}
