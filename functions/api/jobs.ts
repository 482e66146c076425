import type { OpenAPIHono } from '@hono/zod-openapi';
import { z } from 'zod';
import { canonicalJson } from '#core/canonicalJson.js';
import { RoundtableError } from '#core/errors.js';
import type { JobId } from '#core/hex.js';
import { submitRequest, takeOverRequest } from '#core/messages.js';
import { takeOverTrigger } from '#core/names.js';
import { jobId } from '#core/schema.js';
import { jobView, roundView, type JobView } from '#core/views.js';
import { checkReader, checkSpec, deriveJobId, queueJob } from '../jobs.js';
import type { ApiParts } from './app.js';
import { addEndpoint, itemsOf } from './endpoint.js';

const params = { job: jobId };
const roundNumber = z.coerce.number().int().min(0).optional();
/** Rounds that are read one by one for one answer. */
const mostSamples = 500;

export function addJobs(app: OpenAPIHono, parts: ApiParts): void {
  const { table, coordinator, limits } = parts;

  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/v1/jobs',
      summary: 'Jobs, newest first.',
      signers: 'anybody',
      query: { limit: z.coerce.number().int().min(1).max(1_000).default(100) },
      status: 200,
      answer: itemsOf(jobView),
    },
    async ({ query }) => ({ items: await table.listJobs({ limit: query.limit }) }),
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'post',
      path: '/v1/jobs',
      summary: 'Queue a job. The same member and key always mean the same job.',
      signers: 'member',
      body: submitRequest,
      status: 202,
      answer: z.object({ job: jobId, repeated: z.boolean() }),
    },
    async ({ body, signer }) => {
      const receivedAt = Date.now();
      await checkSpec(parts, body.spec);
      const job = deriveJobId('submit', signer.address, body.key);
      if (!(await table.getJob(job))) await limits.jobs(signer.member);
      const { existing, repeated } = await queueJob(parts, {
        job,
        spec: body.spec,
        trigger: 'submit',
        delivery: null,
        coordinator,
        receivedAt,
      });
      if (existing && canonicalJson(existing.spec) !== canonicalJson(body.spec))
        throw new RoundtableError(
          'CONFLICT',
          `The key ${JSON.stringify(body.key)} was used for another job, ${job}. Choose a new key.`,
        );
      return { job, repeated };
    },
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/v1/jobs/{job}',
      summary: 'One job.',
      signers: 'anybody',
      params,
      status: 200,
      answer: jobView,
    },
    ({ params: { job } }) => findJob(parts, job),
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/v1/jobs/{job}/rounds',
      summary:
        "A job's rounds, ascending: behind `after`, in front of `before`, the `newest` so many of these; or, as samples " +
        'of a long job, those whose number is a multiple of `every`.',
      signers: 'anybody',
      params,
      query: {
        after: roundNumber,
        before: roundNumber,
        newest: z.coerce.number().int().min(1).max(1_000).optional(),
        every: z.coerce.number().int().min(1).optional(),
      },
      status: 200,
      answer: itemsOf(roundView),
    },
    async ({ params: { job }, query: { every, ...range } }) => {
      const { round: last } = await findJob(parts, job);
      if (every === undefined) return { items: await table.listRounds(job, range) };
      const wanted = Math.floor(last / every);
      if (wanted > mostSamples)
        throw new RoundtableError(
          'INVALID_INPUT',
          `Every ${every}th of ${last} rounds are ${wanted}; at most ${mostSamples} are sampled. Ask for fewer.`,
        );
      return {
        items: await table.getRounds(
          job,
          Array.from({ length: wanted }, (_, i) => (i + 1) * every),
        ),
      };
    },
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'post',
      path: '/v1/jobs/{job}/take-over',
      summary:
        "Go on with another member's job, with a bond for its rounds to come. Repeating it is harmless.",
      signers: 'member',
      params,
      body: takeOverRequest,
      status: 202,
      answer: z.object({ job: jobId, repeated: z.boolean() }),
    },
    async ({ params: { job }, body: { spec }, signer }) => {
      const receivedAt = Date.now();
      checkReader(parts, spec);
      const known = await table.getJob(job);
      if (known && known.trigger !== takeOverTrigger)
        throw new RoundtableError('CONFLICT', `This stack began job ${job} itself.`);
      if (!known) await limits.jobs(signer.member);
      const { repeated } = await queueJob(parts, {
        job,
        spec,
        trigger: takeOverTrigger,
        delivery: null,
        coordinator,
        receivedAt,
      });
      return { job, repeated };
    },
  );
}

/** @throws NOT_FOUND */
export async function findJob({ table }: Pick<ApiParts, 'table'>, job: JobId): Promise<JobView> {
  const view = await table.getJob(job);
  if (!view) throw new RoundtableError('NOT_FOUND', `There is no job ${job}.`);
  return view;
}
